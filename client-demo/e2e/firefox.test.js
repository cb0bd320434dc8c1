/**
 * A visitor in Firefox and an agent in Chromium. Firefox needs no driver for it: the page starts the chat that its address
 * asks for, and what it shows and reads is seen at the other side.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { agentOf, launch, take } from './people.js';
import { Server } from './server.js';

const FIREFOX = process.env.FIREFOX ?? '/usr/bin/firefox-esr';

/** Opens `address` in a headless Firefox with a profile of its own; returns the way to end it. */
async function openFirefox(address) {
  const profile = await mkdtemp(join(tmpdir(), 'duet-firefox-'));
  const options = ['--headless', '--no-remote', '--profile', profile, address];
  // A group of its own, because Firefox is several processes.
  const child = spawn(FIREFOX, options, { stdio: 'ignore', detached: true });
  await once(child, 'spawn');
  return async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    process.kill(-child.pid, 'SIGKILL');
    await ended;
    await rm(profile, { recursive: true, force: true, maxRetries: 10 });
  };
}

describe('a visitor in Firefox', () => {
  let [server, browser, end] = [];
  before(async () => {
    server = await Server.start();
    browser = await launch();
  });
  after(async () => {
    await end?.();
    await browser?.close();
    await server?.stop();
  });

  for (const transport of ['webtransport', 'websocket']) {
    it(`starts a chat over ${transport}, reads what the agent in Chromium writes, and is missed when gone`, async () => {
      const agent = await agentOf(browser, server);
      const name = `Finn-${transport}`;
      const query = new URLSearchParams({ as: 'visitor', user: name, name, transport });
      end = await openFirefox(`${server.page}?${query}`);
      await agent.room.getByRole('button', { name: new RegExp(name) }).waitFor();
      await take(agent, name);
      await agent.say('Hello, Firefox.');
      await agent.sees('Hello, Firefox.', 'read');
      await end();
      const talk = agent.room.getByRole('region', { name: 'Current conversation' });
      await talk.getByText(/Connection lost a moment ago|Offline/).waitFor({ timeout: 60_000 });
    });
  }
});
