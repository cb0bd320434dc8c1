/** Everyone can use the page: axe finds nothing, the keyboard reaches everything, narrow windows lose nothing. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { describe, it } from 'node:test';
import { agentOf, Person, take, visitorOf } from './people.js';
import { place } from './place.js';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe has to say about a page, one line for each finding. */
async function findings(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document));
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(node => `${id}: ${node.target.join(' ')} ${node.failureSummary}`),
  );
}

describe('access', () => {
  const at = place();

  for (const colorScheme of ['light', 'dark']) {
    it(`axe finds nothing, ${colorScheme}: before a chat, within one, and when it is over`, async () => {
      const context = await at.browser.newContext({ locale: 'en-GB', colorScheme, reducedMotion: 'reduce' });
      const visitor = await Person.open(context, at.server.page, 'Visitor');
      const agent = new Person(visitor.page, 'Agent');
      await agent.is('connected');
      assert.deepEqual(await findings(visitor.page), []);
      await visitor.room.getByRole('textbox', { name: 'Your name' }).fill(`Mona ${colorScheme}`);
      await visitor.room.getByRole('button', { name: 'Start chat' }).click();
      await visitor.say('Good morning');
      await visitor.sees('Good morning', 'accepted');
      await take(agent, `Mona ${colorScheme}`);
      await agent.say('Good morning, Mona.');
      await visitor.reads('Good morning, Mona.');
      assert.deepEqual(await findings(visitor.page), []);
      await agent.room.getByRole('button', { name: 'Resolve', exact: true }).click();
      await visitor.room.getByText('This conversation was resolved.').waitFor();
      assert.deepEqual(await findings(visitor.page), []);
      await context.close();
    });
  }

  it('axe finds nothing on a phone, in Chinese', async () => {
    const context = await at.browser.newContext({ locale: 'zh-CN', viewport: { width: 390, height: 844 } });
    const page = await context.newPage();
    await page.goto(at.server.page);
    await page.getByRole('tab', { name: '客服' }).waitFor();
    assert.equal(await page.locator('html').getAttribute('lang'), 'zh');
    assert.deepEqual(await findings(page), []);
    await page.getByRole('tab', { name: '客服' }).click();
    await page.getByRole('combobox', { name: '状态' }).waitFor();
    assert.deepEqual(await findings(page), []);
    await context.close();
  });

  it('a chat needs no pointer', async () => {
    const context = await at.browser.newContext({ locale: 'en-GB' });
    const { page } = await Person.open(context, `${at.server.page}?as=visitor&user=nils`, 'Visitor');
    const active = () =>
      page.evaluate(() => {
        let element = document.activeElement;
        while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
        return element?.getAttribute('aria-label') ?? element?.id ?? '';
      });
    await page.getByRole('textbox', { name: 'Your name' }).focus();
    await page.keyboard.type('Nils');
    await page.keyboard.press('Enter');
    await page.getByRole('textbox', { name: 'Message' }).waitFor();
    await page.waitForFunction(() => document.querySelector('duet-demo').shadowRoot.activeElement !== null);
    assert.equal(await active(), 'Message');
    await page.keyboard.type('No pointer');
    await page.keyboard.press('Enter');
    await page.locator('[data-status="accepted"]').waitFor();
    assert.equal(await active(), 'Message', 'focus stays where one writes');
    const agent = await agentOf(at);
    await agent.room.getByRole('button', { name: /Nils/ }).waitFor();
    await agent.room.getByRole('combobox', { name: 'Availability' }).focus();
    await agent.page.keyboard.press('Alt+ArrowDown');
    await agent.room.getByText(/Take the conversation to answer/).waitFor();
    await agent.page.keyboard.press('Alt+t');
    await agent.field.waitFor();
    await agent.page.keyboard.type('By keys alone');
    await agent.page.keyboard.press('Enter');
    await page.getByText('By keys alone', { exact: true }).waitFor();
    await context.close();
  });

  it('nothing is wider than a window of 320 pixels, from left to right and from right to left', async () => {
    const visitor = await visitorOf(at, 'Olga');
    await visitor.say('An unbreakable word: ' + 'x'.repeat(300));
    const agent = await agentOf(at);
    await agent.page.setViewportSize({ width: 320, height: 640 });
    await take(agent, 'Olga');
    for (const { page } of [visitor, agent]) {
      await page.setViewportSize({ width: 320, height: 640 });
      for (const dir of ['ltr', 'rtl']) {
        await page.evaluate(value => {
          document.documentElement.dir = value;
        }, dir);
        const wider = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
        assert.equal(wider, false, dir);
        assert.ok(await page.getByRole('button', { name: 'Send', exact: true }).isVisible());
      }
    }
  });
});
