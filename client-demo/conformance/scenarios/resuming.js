/** Coming back: nothing missing, nothing twice, whatever went away and for how long. */
import assert from 'node:assert/strict';
import { until } from '../../e2e/until.js';
import { law, texts } from './law.js';

const STORED = ['accepted', 'mirrored', 'delivered', 'read'];

/** The subject is cut off, the other one says `count` things, and the subject comes back. */
async function misses(world, { subject, other, room }, count) {
  await world.wire.cut();
  if (!world.lane.udp) await world.wire.reset();
  await subject.hears('state', { current: 'reconnecting' });
  const sent = [];
  for (let at = 0; at < count; at += 100) {
    sent.push(...(await other.say(room, ...texts(Math.min(100, count - at), `missed ${at}`))));
    await other.reached(sent.slice(-1), ...STORED);
  }
  subject.mark();
  await world.wire.heal();
  const back = await subject.hears('state', { current: 'connected' }, 45_000);
  assert.equal(back.resumed, true);
  const log = await world.agree(room, subject, other);
  assert.equal(log.length, count);
  subject.never('discontinuity');
}

export default [
  law(
    'events that were missed in a drop come afterwards, in order, each once',
    ['C-RESUME-1', 'C-RESUME-2', 'C-EVENT-1'],
    {},
    async world => {
      await misses(world, await world.two(), 30);
    },
  ),

  law(
    'a client that had received nothing before the drop misses nothing',
    ['C-RESUME-2'],
    {},
    async world => {
      const [subject, other] = await Promise.all([
        world.join('subject'),
        world.join('other', { direct: true }),
      ]);
      const { conversation: room } = await other.do('create', { kind: 'group', members: ['subject'] });
      await other.do('subscribe', { conversation: room });
      await subject.do('subscribe', { conversation: room, latest: 0 });
      await misses(world, { subject, other, room }, 3);
    },
  ),

  law('five thousand missed events come without a hole', ['C-RESUME-3'], { full: true }, async world => {
    await misses(world, await world.two(), 5_000);
  }),

  law(
    'a server that is killed and started again has what it acknowledged, and its clients go on',
    ['C-RESUME-4', 'C-SEND-3'],
    {},
    async world => {
      const { subject, other, room } = await world.two();
      const sent = await subject.say(room, ...texts(20));
      await subject.reached(sent.slice(0, 5), ...STORED);
      await world.server.kill();
      sent.push(...(await subject.say(room, ...texts(5, 'later'))));
      await world.server.restart();
      await subject.reached(sent, ...STORED);
      const log = await world.agree(room, subject, other);
      assert.deepEqual(
        log.map(([, id]) => id),
        sent.map(({ id }) => id),
      );
      const back = await subject.hears('state', { current: 'connected', resumed: true }, 45_000);
      assert.equal(back.code, 0);
    },
  ),

  law(
    'a process that is killed, or a page that is loaded anew, goes on with its session and its outbox',
    ['C-PERSIST-1', 'C-PERSIST-2'],
    {},
    async world => {
      const { subject, other, room } = await world.two({ kept: true });
      await subject.say(room, 'before');
      await other.hears('message.created', { text: 'before' });
      await world.wire.cut();
      const [sent] = await subject.say(room, 'written into the storage');
      await subject.agent.again();
      await world.wire.heal();
      subject.mark();
      await subject.ready();
      const back = await subject.hears('state', { current: 'connected' });
      assert.equal(back.resumed, true, 'the session goes on');
      await subject.do('subscribe', { conversation: room });
      await other.hears('message.created', { id: sent.id });
      const log = await world.agree(room, subject, other);
      assert.equal(log.length, 2);
    },
  ),

  law(
    'a position that the log does not have is a discontinuity, and what follows is whole',
    ['C-DISC-1'],
    {},
    async world => {
      const { subject, other, room } = await world.two();
      await other.say(room, 'one', 'two');
      await subject.hears('message.created', { text: 'two' });
      await subject.do('unsubscribe', { conversation: room });
      subject.mark();
      await subject.do('subscribe', { conversation: room, after: { epoch: 1, seq: 900 } });
      await subject.hears('discontinuity', { conversation: room });
      await subject.hears('message.created', { text: 'two' });
      await world.agree(room, subject, other);
    },
  ),

  law('a position that the application kept is gone on from', ['C-RESUME-5'], {}, async world => {
    const { subject, other, room } = await world.two();
    const [first] = await other.say(room, 'one');
    const { seq } = await subject.hears('message.created', { id: first.id });
    const position = await subject.do('position', { conversation: room });
    assert.equal(position.seq, seq);
    await subject.do('unsubscribe', { conversation: room });
    await other.say(room, 'two', 'three');
    await other.hears('message.created', { text: 'three' });
    subject.mark();
    await subject.do('subscribe', { conversation: room, after: position });
    await subject.hears('message.created', { text: 'three' });
    assert.deepEqual(
      subject.told('message.created').map(({ text }) => text),
      ['two', 'three'],
    );
    subject.never('discontinuity');
  }),

  law(
    'a session that the server has lost is told, and messages go on',
    ['C-DISC-2'],
    { settings: ['limits.session_ttl_ms=1000', 'limits.presence_grace_ms=3000'] },
    async world => {
      const { subject, other, room } = await world.two();
      const sessions = await world.server.metric('duet_sessions');
      await world.wire.cut();
      if (!world.lane.udp) await world.wire.reset();
      await subject.hears('state', { current: 'reconnecting' });
      await world.gone(other, 'subject');
      // Presence counts from the last sign of life, a session from when its silence was noticed.
      const ended = async () => (await world.server.metric('duet_sessions')) < sessions || undefined;
      await until('the session has ended', 20_000, ended);
      subject.mark();
      const [sent] = await subject.say(room, 'with a new session');
      await world.wire.heal();
      const back = await subject.hears('state', { current: 'connected' }, 45_000);
      assert.equal(back.resumed, false);
      await subject.reached([sent], ...STORED);
      await world.agree(room, subject, other);
    },
  ),

  law('history is read page by page, both ways, without a gap', ['C-HISTORY-1'], {}, async world => {
    const { subject, other, room } = await world.two();
    const sent = await other.say(room, ...texts(30));
    await other.reached(sent, ...STORED);
    const seqs = [];
    for (let before = 1_000, more = true; more;) {
      const page = await subject.do('history', { conversation: room, before, limit: 7 });
      seqs.unshift(...page.entries.map(({ seq }) => seq));
      ({ more } = page);
      before = seqs[0];
    }
    assert.deepEqual(
      seqs,
      Array.from(seqs, (_, i) => i + 1),
    );
    assert.ok(seqs.length > 30);
    const forward = await subject.do('history', { conversation: room, after: 10, limit: 5 });
    assert.deepEqual(
      forward.entries.map(({ seq }) => seq),
      [11, 12, 13, 14, 15],
    );
    assert.equal(forward.more, true);
  }),
];
