/** Who is there, who types, who has read what. */
import assert from 'node:assert/strict';
import { law } from './law.js';

const GRACE_MS = 3_000;
const GRACE = { settings: [`limits.presence_grace_ms=${GRACE_MS}`] };
/** Silence that the server has to notice first, for those who cannot say that they are gone. */
const IDLE_MS = 4_000;

/** The other one watches the subject until it is offline; gives back how long that took. */
async function untilOffline(other, within) {
  const begun = performance.now();
  const seen = await other.hears('presence.updated', { user: 'subject', connectivity: 'offline' }, within);
  return seen.at - begun;
}

async function watched(world) {
  const [subject, other] = await Promise.all([world.join('subject'), world.join('other', { direct: true })]);
  await other.do('watch_presence', { users: ['subject'] });
  await other.hears('presence.updated', { user: 'subject', connectivity: 'connected' });
  other.mark();
  return { subject, other };
}

export default [
  law(
    'a client that is killed is offline within the grace and five seconds',
    ['C-PRESENCE-1'],
    GRACE,
    async world => {
      const { subject, other } = await watched(world);
      await subject.agent.kill();
      const silence = world.lane.host === 'rust' ? IDLE_MS : 0;
      const took = await untilOffline(other, GRACE_MS + silence + 5_000);
      assert.ok(took >= GRACE_MS - 500, `not before the grace: ${took} ms`);
      assert.equal(other.told('presence.updated', { user: 'subject' })[0].connectivity, 'reconnecting');
    },
  ),

  law(
    'a client that sleeps is offline in time, and back when it wakes',
    ['C-PRESENCE-1', 'C-PRESENCE-3'],
    { ...GRACE, except: { chromium: 'a page is put to sleep with its browser: see Node' } },
    async world => {
      const { subject, other } = await watched(world);
      subject.agent.sleep();
      try {
        await untilOffline(other, IDLE_MS + GRACE_MS + 5_000);
      } finally {
        subject.agent.wake();
      }
      await other.hears('presence.updated', { user: 'subject', connectivity: 'connected' }, 45_000);
    },
  ),

  law('a client that closes is offline at once', ['C-PRESENCE-2', 'C-STATE-6'], {}, async world => {
    const { subject, other } = await watched(world);
    await subject.do('close');
    await untilOffline(other, 5_000);
  }),

  law(
    'a client that comes back within the grace was never offline',
    ['C-PRESENCE-3'],
    { settings: ['limits.presence_grace_ms=20000'] },
    async world => {
      const { subject, other } = await watched(world);
      await world.drop(subject);
      await world.wire.heal();
      await subject.hears('state', { current: 'connected' }, 45_000);
      subject.mark();
      await other.do('watch_presence', { users: ['subject'] });
      await other.until(
        'the subject connected at last',
        () =>
          other.heard.findLast(({ event, user }) => event === 'presence.updated' && user === 'subject')
            ?.connectivity === 'connected',
      );
      other.never('presence.updated', { user: 'subject', connectivity: 'offline' });
    },
  ),

  law(
    'what a user chose and what is observed are two things, and both are told',
    ['C-PRESENCE-4'],
    {},
    async world => {
      const { subject, other } = await watched(world);
      await subject.do('availability', { value: 'busy' });
      await other.hears('presence.updated', {
        user: 'subject',
        availability: 'busy',
        connectivity: 'connected',
      });
      await subject.do('idle', { idle: true });
      await other.hears('presence.updated', { user: 'subject', availability: 'busy', connectivity: 'idle' });
      await subject.do('idle', { idle: false });
      other.mark();
      await other.until(
        'in use again',
        () => other.heard.findLast(({ event }) => event === 'presence.updated')?.connectivity === 'connected',
      );
    },
  ),

  law('presence that is watched is watched again after a drop', ['C-PRESENCE-5'], {}, async world => {
    const [subject, other] = await Promise.all([
      world.join('subject'),
      world.join('other', { direct: true }),
    ]);
    await subject.do('watch_presence', { users: ['other'] });
    await subject.hears('presence.updated', { user: 'other', connectivity: 'connected' });
    await world.drop(subject);
    await world.wire.heal();
    await subject.hears('state', { current: 'connected' }, 45_000);
    await other.do('availability', { value: 'away' });
    await subject.hears('presence.updated', { user: 'other', availability: 'away' });
  }),

  law(
    'typing is told once, and ends by itself',
    ['C-TYPING-1', 'C-TYPING-2'],
    { settings: ['limits.typing_ttl_ms=2000'] },
    async world => {
      const { subject, other, room } = await world.two();
      other.mark();
      for (let i = 0; i < 5; i += 1) await subject.do('keystroke', { conversation: room });
      const begun = await other.hears('typing.started', { conversation: room, user: 'subject' });
      const ended = await other.hears('typing.stopped', { conversation: room, user: 'subject' });
      assert.ok(ended.at - begun.at < 8_000, `${ended.at - begun.at} ms`);
      assert.equal(other.told('typing.started').length, 1);
      other.mark();
      await other.do('keystroke', { conversation: room });
      await subject.hears('typing.started', { conversation: room, user: 'other' });
    },
  ),

  law(
    'typing ends with the message, and when the typist is killed',
    ['C-TYPING-2', 'C-TYPING-3'],
    { settings: ['limits.typing_ttl_ms=2000'] },
    async world => {
      const { subject, other, room } = await world.two();
      await other.do('keystroke', { conversation: room });
      await subject.hears('typing.started', { user: 'other' });
      await other.say(room, 'typed');
      const said = await subject.hears('message.created', { text: 'typed' });
      const ended = await subject.hears('typing.stopped', { user: 'other' });
      assert.ok(ended.at - said.at < 500, 'with the message, not by its time');
      subject.mark();
      await other.do('keystroke', { conversation: room });
      await subject.hears('typing.started', { user: 'other' });
      await other.agent.kill();
      await subject.hears('typing.stopped', { user: 'other' }, 8_000);
    },
  ),

  law('what a user reads on one device is read on the other', ['C-RECEIPT-2'], {}, async world => {
    const { subject, other, room } = await world.two();
    const second = await world.join('second', { user: 'subject', direct: true });
    await second.do('subscribe', { conversation: room });
    const [sent] = await other.say(room, 'for both');
    const { seq } = await subject.hears('message.created', { id: sent.id });
    await second.hears('message.created', { id: sent.id });
    await second.do('mark_read', { conversation: room, seq });
    await subject.hears('receipt.updated', { user: 'subject', read: seq });
    await other.reached([sent], 'read');
  }),

  law('the inbox counts what is unread, through a drop', ['C-INBOX-1'], {}, async world => {
    const { subject, other, room } = await world.two();
    await subject.do('watch_inbox');
    await other.say(room, 'one', 'two');
    await subject.hears('inbox.updated', { conversation: room, unread: 2 });
    await world.drop(subject);
    await world.wire.heal();
    await subject.hears('state', { current: 'connected' }, 45_000);
    await other.say(room, 'three');
    const last = await subject.hears('message.created', { text: 'three' });
    await subject.hears('inbox.updated', { conversation: room, unread: 3 });
    await subject.do('mark_read', { conversation: room, seq: last.seq });
    await subject.until(
      'nothing unread',
      () => subject.told('inbox.updated', { conversation: room }).at(-1)?.unread === 0,
    );
  }),
];
