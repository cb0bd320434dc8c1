/** What may go wrong on the way: a killed server, a silent one, a network without UDP. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { agentOf, Person, take, visitorOf } from './people.js';
import { place } from './place.js';

describe('when things go wrong', () => {
  const at = place();

  it('a server that is killed in the middle of sends loses, doubles and reorders nothing', async () => {
    const visitor = await visitorOf(at, 'Hugo');
    const agent = await agentOf(at);
    await take(agent, 'Hugo');
    const lines = Array.from({ length: 30 }, (_, i) => `line ${i + 1}`);
    for (const line of lines.slice(0, 15)) await visitor.say(line);
    await Promise.all([at.server.kill(), visitor.say(lines[15])]);
    for (const line of lines.slice(16)) await visitor.say(line);
    await at.server.restart();
    for (const line of lines) await visitor.sees(line, 'accepted', 'delivered', 'read');
    await agent.reads('line 30');
    assert.deepEqual(await agent.texts(), lines);
    assert.deepEqual(await visitor.texts(), lines);
    await agent.say('All there.');
    await visitor.reads('All there.');
    await Promise.all([visitor.is('connected'), agent.is('connected')]);
  });

  it('a server that falls silent is noticed by those who only wait, and found again', async () => {
    const visitor = await visitorOf(at, 'Hana', '&transport=webtransport');
    const agent = await agentOf(at, '&transport=webtransport');
    await take(agent, 'Hana');
    await visitor.say('before');
    await visitor.sees('before', 'read');
    at.server.pause();
    try {
      await Promise.all([visitor.is('reconnecting'), agent.is('reconnecting')]);
      await visitor.say('into the silence');
      await visitor.sees('into the silence', 'queued');
    } finally {
      at.server.proceed();
    }
    await visitor.sees('into the silence', 'read');
    await agent.say('after');
    await visitor.reads('after');
    for (const side of [visitor, agent]) {
      assert.deepEqual(await side.texts(), ['before', 'into the silence', 'after']);
    }
  });

  it('the banner tells of a lost server late, offers a way, and leaves by itself', async () => {
    const visitor = await visitorOf(at, 'Ines');
    await at.server.kill();
    const banner = visitor.room.getByRole('status');
    await visitor.is('reconnecting');
    assert.equal(await banner.innerText(), '');
    await banner.getByText('Reconnecting…').waitFor();
    await visitor.say('kept for later');
    await visitor.sees('kept for later', 'queued');
    // Before the server is back: from then on the page may come first, and the button is gone.
    await banner.getByRole('button', { name: 'Try now' }).click();
    await at.server.restart();
    await visitor.sees('kept for later', 'accepted', 'delivered', 'read');
    await banner.getByRole('button', { name: 'Try now' }).waitFor({ state: 'detached' });
    assert.equal(await banner.innerText(), '');
  });

  it('a page in a network without UDP goes on over WebSocket by itself, and remembers it', async () => {
    // As behind a firewall: datagrams arrive nowhere, and nobody says so.
    const silence = createSocket({ type: 'udp6' });
    silence.bind(0, '::');
    await once(silence, 'listening');
    const context = await at.browser.newContext({ locale: 'en-GB' });
    const page = await context.newPage();
    await page.route('**/dev/token?*', async route => {
      const answer = await route.fetch();
      const endpoints = [`localhost:${silence.address().port}`];
      await route.fulfill({ response: answer, json: { ...(await answer.json()), endpoints } });
    });
    const agent = await agentOf(at);
    await page.goto(`${at.server.page}?as=visitor&user=kai&name=Kai`);
    const visitor = new Person(page, 'Visitor');
    await visitor.is('connected', 'websocket');
    await take(agent, 'Kai');
    await agent.is('connected', 'webtransport');
    await visitor.say('over TCP');
    await agent.reads('over TCP');
    await page.reload();
    await visitor.is('connected', 'websocket');
    await visitor.reads('over TCP');
    silence.close();
  });

  it('a visitor on WebSocket and an agent on WebTransport chat', async () => {
    const visitor = await visitorOf(at, 'Lena', '&transport=websocket');
    await visitor.is('connected', 'websocket');
    const agent = await agentOf(at);
    await agent.is('connected', 'webtransport');
    await take(agent, 'Lena');
    await visitor.say('slow but sure');
    await agent.reads('slow but sure');
    await agent.say('It arrives.');
    await visitor.reads('It arrives.');
    await visitor.sees('slow but sure', 'read');
  });
});
