/** A visitor and an agent on a replicated pair: its primary dies while they chat. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { Front } from '../pair/front.js';
import { Stage } from '../pair/stage.js';
import { agentOf, launch, take, visitorOf } from './people.js';
import { until } from './until.js';

const IN_SYNC_WITHIN_MS = 60_000;

describe('when the primary of a pair is killed', () => {
  const at = {};

  before(async () => {
    at.stage = await Stage.start({ binary: process.env.SERVER_BINARY });
    at.server = await Front.start(at.stage, 0);
    at.browser = await launch();
    await inSync(at.stage);
  });
  after(async () => {
    await at.browser?.close();
    await at.server?.stop();
    await at.stage?.stop();
  });

  it('a chat goes on, and nothing is missing, doubled or out of order', async () => {
    const visitor = await visitorOf(at, 'Hugo');
    const agent = await agentOf(at);
    await take(agent, 'Hugo');
    const lines = Array.from({ length: 40 }, (_, i) => `line ${i + 1}`);
    // Twice, so that either node dies once and either takes over once.
    for (const half of [lines.slice(0, 20), lines.slice(20)]) {
      await inSync(at.stage);
      const before = await primary(at.stage);
      for (const line of half.slice(0, 8)) await visitor.say(line);
      await visitor.sees(half[7], ...STORED);
      const button = agent.page.getByRole('button', { name: 'Kill the primary' });
      await Promise.all([button.click(), visitor.say(half[8])]);
      for (const line of half.slice(9)) await visitor.say(line);
      for (const line of half) await visitor.sees(line, ...STORED);
      await agent.reads(half.at(-1));
      assert.notEqual(await primary(at.stage), before);
    }
    assert.deepEqual(await agent.texts(), lines);
    assert.deepEqual(await visitor.texts(), lines);
    await agent.say('All there.');
    await visitor.reads('All there.');
    await Promise.all([visitor.is('connected'), agent.is('connected')]);
  });

  it('a page that is loaded while only one node lives has everything', async () => {
    const visitor = await visitorOf(at, 'Ines');
    await visitor.say('before');
    await visitor.sees('before', ...STORED);
    await inSync(at.stage);
    await visitor.page.getByRole('button', { name: 'Kill the primary' }).click();
    await visitor.page.reload();
    await visitor.reads('before');
    await visitor.say('after');
    await visitor.sees('after', ...STORED);
    assert.deepEqual(await visitor.texts(), ['before', 'after']);
  });

  it('a chat over WebSocket goes on as well', async () => {
    const visitor = await visitorOf(at, 'Lena', '&transport=websocket');
    await visitor.is('connected', 'websocket');
    await visitor.say('before');
    await visitor.sees('before', ...STORED);
    await inSync(at.stage);
    await visitor.page.getByRole('button', { name: 'Kill the primary' }).click();
    await visitor.say('after');
    await visitor.sees('after', ...STORED);
    await visitor.is('connected', 'websocket');
    assert.deepEqual(await visitor.texts(), ['before', 'after']);
  });

  it('an upgrade of one node after the other is no more than a switchover to a chat', async () => {
    const visitor = await visitorOf(at, 'Olga');
    const agent = await agentOf(at);
    await take(agent, 'Olga');
    await inSync(at.stage);
    const [first, second] = await standbyAndPrimary(at.stage);
    const lines = [];
    let upgraded = false;
    const chat = async () => {
      while (!upgraded) {
        lines.push(`line ${lines.length + 1}`);
        await visitor.say(lines.at(-1));
        await visitor.sees(lines.at(-1), ...STORED);
      }
    };
    const upgrade = async () => {
      await at.stage.restart(first);
      await at.stage.operate(['status', '--wait', '60']);
      await at.stage.operate(['switchover'], [second]);
      await at.stage.restart(second);
      await at.stage.operate(['status', '--wait', '60']);
      upgraded = true;
    };
    await Promise.all([chat(), upgrade()]);
    assert.deepEqual(await standbyAndPrimary(at.stage), [second, first]);
    await agent.reads(lines.at(-1));
    assert.deepEqual(await agent.texts(), lines);
    assert.deepEqual(await visitor.texts(), lines);
  });

  it('a foreign page can neither kill a node nor read a token', async () => {
    const { page } = at.server;
    const order = headers => fetch(`${page}demo/pair/kill`, { method: 'POST', headers });
    const foreign = { origin: 'http://evil.example', 'x-duet-operator': '1' };
    for (const headers of [{}, foreign, { origin: new URL(page).origin }]) {
      assert.equal((await order(headers)).status, 403);
    }
    const [answer] = await once(get(`${page}dev/token`, { headers: { host: 'evil.example' } }), 'response');
    assert.equal(answer.statusCode, 403);
    answer.resume();
    assert.ok((await at.stage.status()).some(({ report }) => report?.serving));
  });
});

const STORED = ['accepted', 'mirrored', 'delivered', 'read'];

async function inSync(stage) {
  await until('the pair is in sync', IN_SYNC_WITHIN_MS, async () => {
    const status = await stage.status();
    return (
      status.every(({ report }) => report?.in_sync === true) && status.some(({ report }) => report.serving)
    );
  });
}

async function standbyAndPrimary(stage) {
  const status = await stage.status();
  return ['standby', 'primary'].map(role => status.find(({ report }) => report?.role === role)?.side);
}

async function primary(stage) {
  return until(
    'a node serves',
    IN_SYNC_WITHIN_MS,
    async () => (await stage.status()).find(({ report }) => report?.serving)?.side,
  );
}
