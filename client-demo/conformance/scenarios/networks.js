/** Bad networks: silence, resets, loss, reorder, another address. */
import assert from 'node:assert/strict';
import { law, texts } from './law.js';

const STORED = ['accepted', 'mirrored', 'delivered', 'read'];
/** 10 seconds of silence, one probe, and what a busy machine adds. */
const NOTICED_WITHIN_MS = 25_000;

/** Both sides talk while the weather is so; afterwards everybody has the same log. */
async function talk(world, weather, count) {
  const { subject, other, room } = await world.two();
  await world.wire.weather(weather);
  const [mine, theirs] = await Promise.all([
    subject.say(room, ...texts(count, 'mine')),
    other.say(room, ...texts(count, 'theirs')),
  ]);
  await subject.reached(mine, ...STORED);
  await other.reached(theirs, ...STORED);
  await world.wire.weather();
  const log = await world.agree(room, subject, other);
  assert.equal(log.length, 2 * count);
  const ids = log.map(([, id]) => id).filter(id => mine.some(sent => sent.id === id));
  assert.deepEqual(
    ids,
    mine.map(({ id }) => id),
    'own messages in the order of sending',
  );
}

export default [
  law(
    'silence is noticed both ways, and the connection comes back when the network does',
    ['C-SILENCE-1', 'C-RESUME-1'],
    {},
    async world => {
      const { subject, other, room } = await world.two();
      await world.wire.cut();
      const [sent] = await subject.say(room, 'into the silence');
      subject.mark();
      await subject.hears('state', { current: 'reconnecting' }, NOTICED_WITHIN_MS);
      await world.wire.heal();
      await subject.hears('state', { current: 'connected' }, 45_000);
      await subject.reached([sent], ...STORED);
      await world.agree(room, subject, other);
    },
  ),

  law(
    'a way that is dead in one direction only is noticed too',
    ['C-SILENCE-1'],
    { full: true },
    async world => {
      const { subject, other, room } = await world.two();
      await world.wire.weather({ hold: true }, 'down');
      const [sent] = await subject.say(room, 'heard by others only');
      subject.mark();
      await subject.hears('state', { current: 'reconnecting' }, NOTICED_WITHIN_MS);
      await world.wire.weather();
      await subject.hears('state', { current: 'connected' }, 45_000);
      await subject.reached([sent], ...STORED);
      await world.agree(room, subject, other);
    },
  ),

  law(
    'a connection that is half open is noticed, and another one takes its place',
    ['C-SILENCE-2'],
    { except: { udp: 'a QUIC connection has no half: see the silence' } },
    async world => {
      const { subject, other, room } = await world.two();
      subject.mark();
      await world.wire.halfOpen();
      const [sent] = await subject.say(room, 'to nobody at first');
      // It may move to another connection before it gives this one up; then it never says that it is away.
      await subject.hears('state', {}, NOTICED_WITHIN_MS);
      const back = await subject.hears('state', { current: 'connected' }, 45_000);
      assert.equal(back.resumed, true);
      await subject.reached([sent], ...STORED);
      await world.agree(room, subject, other);
    },
  ),

  law(
    'a reset is noticed at once',
    ['C-SILENCE-3', 'C-RETRY-1'],
    { except: { udp: 'QUIC has no reset by the network', requests: 'a request that breaks is made again' } },
    async world => {
      const { subject, other, room } = await world.two();
      subject.mark();
      await world.wire.reset();
      await subject.hears('state', { current: 'reconnecting' }, 2_000);
      const back = await subject.hears('state', { current: 'connected' });
      assert.equal(back.resumed, true);
      const [sent] = await subject.say(room, 'after the reset');
      await subject.reached([sent], ...STORED);
      await world.agree(room, subject, other);
    },
  ),

  law(
    'with one packet in twenty lost nothing is lost, doubled or out of order',
    ['C-EVENT-2', 'C-SEND-2'],
    {},
    async world => {
      await talk(world, { loss: 0.05, delay_ms: 10 }, 30);
    },
  ),

  law(
    'packets that overtake each other or come twice change nothing',
    ['C-EVENT-2'],
    { except: { tcp: 'TCP puts them in order below us' } },
    async world => {
      await talk(world, { reorder: 0.2, duplicate: 0.1, jitter_ms: 15 }, 30);
    },
  ),

  law('a narrow and slow way delivers everything, later', ['C-EVENT-2'], { full: true }, async world => {
    await talk(world, { bytes_per_s: 20_000, delay_ms: 80 }, 20);
  }),

  law(
    'a client whose address changes goes on: over QUIC without a word, over TCP by resuming',
    ['C-MOVE-1'],
    {},
    async world => {
      const { subject, other, room } = await world.two();
      await subject.say(room, 'from here');
      await other.hears('message.created', { text: 'from here' });
      subject.mark();
      if (world.lane.udp) await world.wire.rebind();
      else await world.wire.reset();
      const sent = await subject.say(room, 'from there');
      await subject.reached(sent, ...STORED);
      await world.agree(room, subject, other);
      if (world.lane.udp) subject.never('state');
      else if (!world.lane.requests)
        assert.equal((await subject.hears('state', { current: 'connected' })).resumed, true);
    },
  ),

  law(
    'a client that is told of another network shows no gap',
    ['C-MOVE-2'],
    { except: { node: 'Node tells of no network' } },
    async world => {
      const { subject, other, room } = await world.two();
      subject.mark();
      await subject.do('network_changed');
      const sent = await subject.say(room, ...texts(5));
      await subject.reached(sent, ...STORED);
      subject.never('state', { current: ['reconnecting', 'suspended', 'failed'] });
      await world.agree(room, subject, other);
    },
  ),

  law(
    'where UDP does not pass the client goes on over WebSocket by itself',
    ['C-TRANSPORT-1', 'C-RESUME-6'],
    { only: ['rust/quic', 'chromium/webtransport'] },
    async world => {
      const [subject, other] = await Promise.all([
        world.join('subject', { transport: 'auto' }),
        world.join('other', { direct: true }),
      ]);
      const room = await world.room(subject, other);
      assert.equal((await subject.do('info')).transport, world.lane.transport);
      subject.mark();
      await world.udp.datagrams(false);
      const [sent] = await subject.say(room, 'by another way');
      const back = await subject.hears('state', { current: 'connected' }, 45_000);
      assert.equal((await subject.do('info')).transport, 'websocket');
      assert.equal(back.resumed, true, 'the session is the same over another carrier');
      await subject.reached([sent], ...STORED);
      await world.agree(room, subject, other);
    },
  ),
];
