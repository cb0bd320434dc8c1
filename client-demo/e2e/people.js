/** A visitor and an agent at the page, by what a person sees: roles and names. */
import { chromium, firefox } from 'playwright-core';

const WITHIN_MS = 20_000;
const ARGS = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'];
const FIREFOX = { channel: 'moz-firefox', executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr' };

/** Debian's Chromium, or the one that `CHROMIUM` names. */
export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ARGS });
}

/**
 * Debian's Firefox, or the one that `FIREFOX` names: an unpatched one, driven by WebDriver BiDi.
 * playwright-core 1.65 demands `emulation.setMediaFeaturesOverride` of it, which Firefox ESR 153 does not have.
 */
export function launchFirefox() {
  return firefox.launch(FIREFOX);
}

/** As `launchFirefox`, with a way to end it as a crash would: nothing is said to anybody. */
export async function launchDoomedFirefox() {
  const server = await firefox.launchServer(FIREFOX);
  return { browser: await firefox.connect(server.wsEndpoint()), kill: () => server.kill() };
}

/** One window of a person. */
export class Person {
  constructor(page, side) {
    this.page = page;
    this.room = page.getByRole('region', { name: side, exact: true });
    this.log = this.room.getByRole('log');
    this.field = this.room.getByRole('textbox', { name: 'Message' });
    this.strip = this.room.locator('duet-strip');
  }

  /** Opens `address` in a new tab of `context`. */
  static async open(context, address, side) {
    const page = await context.newPage();
    page.setDefaultTimeout(WITHIN_MS);
    await page.goto(address);
    return new Person(page, side);
  }

  async say(text) {
    await this.field.fill(text);
    await this.room.getByRole('button', { name: 'Send', exact: true }).click();
  }

  /** As `say`, key by key, and sent with Enter. */
  async types(text) {
    await this.field.click();
    await this.page.keyboard.type(text);
    await this.page.keyboard.press('Enter');
  }

  /** The bubble with exactly this text. */
  message(text) {
    return this.log.locator('.message').filter({ has: this.page.getByText(text, { exact: true }) });
  }

  async reads(text) {
    await this.message(text).first().waitFor();
  }

  /** Waits until an own message is so far. */
  async sees(text, ...statuses) {
    const any = statuses.map(status => `[data-status="${status}"]`).join(',');
    await this.message(text).and(this.page.locator(any)).waitFor();
  }

  async is(state, transport) {
    const carrier = transport === undefined ? '' : `[data-transport="${transport}"]`;
    await this.room.locator(`duet-strip[data-state="${state}"]${carrier}`).waitFor();
  }

  /** The texts of the log, in order. */
  async texts() {
    return this.log.locator('.message .text').allTextContents();
  }
}

/** A visitor called `name` who has started a chat, in a browser profile of their own. */
export async function visitorOf({ server, browser }, name, query = '') {
  const context = await browser.newContext({ locale: 'en-GB' });
  const user = name.toLowerCase();
  const address = `${server.page}?as=visitor&user=${user}&name=${name}${query}`;
  const visitor = await Person.open(context, address, 'Visitor');
  await visitor.field.waitFor();
  return visitor;
}

/** An agent at the desk, in a browser profile of their own. */
export async function agentOf({ server, browser }, query = '') {
  const context = await browser.newContext({ locale: 'en-GB' });
  const agent = await Person.open(context, `${server.page}?as=agent&user=mira&name=Mira${query}`, 'Agent');
  await agent.is('connected');
  return agent;
}

/** The agent opens the conversation of `name` and takes it. */
export async function take(agent, name) {
  await agent.room.locator('button.item', { hasText: name }).click();
  await agent.room.getByRole('button', { name: 'Take', exact: true }).click();
  await agent.field.waitFor();
}
