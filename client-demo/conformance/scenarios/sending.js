/** Sending: echo, order, statuses, the outbox, and what is stored once however often it was sent. */
import assert from 'node:assert/strict';
import { law, texts } from './law.js';

const STORED = ['accepted', 'mirrored', 'delivered', 'read'];

export default [
  law(
    'a message is echoed at once and goes queued, accepted, delivered, read, and never back',
    ['C-SEND-1', 'C-STATUS-1', 'C-RECEIPT-1', 'C-ORDER-1'],
    {},
    async world => {
      const { subject, other, room } = await world.two();
      subject.mark();
      const sent = await subject.do('send', { conversation: room, text: 'hello' });
      assert.equal(sent.status, 'queued');
      const echo = await subject.hears('message.created', { id: sent.id, own: true, live: true });
      assert.equal(echo.text, 'hello');
      const heard = await other.hears('message.created', { id: sent.id, own: false });
      assert.deepEqual([heard.text, heard.author, heard.live], ['hello', 'subject', true]);
      await subject.reached([sent], 'delivered', 'read');
      await other.do('mark_read', { conversation: room, seq: heard.seq });
      await subject.reached([sent], 'read');
      await subject.hears('receipt.updated', { user: 'other', read: heard.seq });
      const order = ['queued', 'accepted', 'mirrored', 'delivered', 'read'];
      const ranks = subject
        .told('message.status', { id: sent.id })
        .map(({ status }) => order.indexOf(status));
      assert.deepEqual(
        ranks,
        [...new Set(ranks)].sort((a, b) => a - b),
        'statuses go forward, each once',
      );
      assert.equal(subject.told('message.created', { id: sent.id }).length, 1, 'the echo is the message');
      const first = subject.heard.findIndex(line => line.event === 'message.created' && line.id === sent.id);
      const status = subject.heard.findIndex(line => line.event === 'message.status' && line.id === sent.id);
      assert.ok(first < status, 'a message is told before what becomes of it');
    },
  ),

  law(
    'messages arrive in the order in which they were sent, each once, for everyone',
    ['C-SEND-2', 'C-EVENT-1'],
    {},
    async world => {
      const { subject, other, room } = await world.two();
      const lines = texts(40);
      const sent = await subject.say(room, ...lines);
      await subject.reached(sent, ...STORED);
      const log = await world.agree(room, subject, other);
      assert.deepEqual(
        log.map(([, id]) => id),
        sent.map(({ id }) => id),
      );
      assert.deepEqual(
        other.told('message.created', { author: 'subject' }).map(({ text }) => text),
        lines,
      );
    },
  ),

  law(
    'what is sent without a connection waits, and is stored in order when there is one',
    ['C-OUTBOX-1', 'C-SEND-2'],
    {},
    async world => {
      const { subject, other, room } = await world.two();
      await world.server.kill();
      await subject.hears('state', { current: 'reconnecting' });
      const sent = await subject.say(room, ...texts(5));
      assert.ok(sent.every(({ status }) => status === 'queued'));
      await world.server.restart();
      await subject.reached(sent, ...STORED);
      const log = await world.agree(room, subject, other);
      assert.deepEqual(
        log.map(([, id]) => id),
        sent.map(({ id }) => id),
      );
    },
  ),

  law(
    'a message whose acknowledgement was lost is sent again with its id, and stored once',
    ['C-SEND-3'],
    { except: { requests: 'where nothing comes down, no new request goes up' } },
    async world => {
      const { subject, other, room } = await world.two();
      await world.wire.weather({ hold: true }, 'down');
      const sent = await subject.say(room, 'once', 'only');
      // The first of them reaches the server; its acknowledgement does not reach the client.
      await other.hears('message.created', { id: sent[0].id });
      if (!world.lane.udp) await world.wire.reset();
      await subject.hears('state', { current: 'reconnecting' }, 45_000);
      await world.wire.weather();
      await subject.reached(sent, ...STORED);
      const log = await world.agree(room, subject, other);
      assert.deepEqual(
        log.map(([, id]) => id),
        sent.map(({ id }) => id),
      );
    },
  ),

  law(
    'an ephemeral message reaches who listens, has no place, and is in no history',
    ['C-SEND-4'],
    {},
    async world => {
      const { subject, other, room } = await world.two();
      await subject.do('send', { conversation: room, text: 'a whisper', durability: 'ephemeral' });
      await other.until('the whisper', () =>
        other.heard.find(({ text, seq }) => text === 'a whisper' && (seq ?? null) === null),
      );
      const log = await world.truth(room, other);
      assert.deepEqual(log, []);
    },
  ),

  law('a reply says to what it replies', ['C-SEND-5'], {}, async world => {
    const { subject, other, room } = await world.two();
    const [first] = await other.say(room, 'a question');
    const asked = await subject.hears('message.created', { id: first.id });
    const answer = await subject.do('send', { conversation: room, text: 'an answer', replyTo: asked.seq });
    const heard = await other.hears('message.created', { id: answer.id });
    assert.equal(heard.replyTo, asked.seq);
  }),

  law(
    'a message that is refused for good fails with the code, and leaves when it is discarded',
    ['C-OUTBOX-2', 'C-CODE-1'],
    {},
    async world => {
      const subject = await world.join('subject');
      const { conversation } = await subject.do('create', { kind: 'support' });
      await subject.do('subscribe', { conversation });
      await subject.do('end', { conversation });
      const [sent] = await subject.say(conversation, 'too late');
      const failed = await subject.hears('message.status', { id: sent.id, status: 'failed' });
      assert.equal(failed.code, 1120);
      subject.mark();
      await subject.do('retry', { conversation, id: sent.id });
      // Where sending it again as the same one is not safe, it has another id.
      const again = await subject.hears('message.status', { conversation, status: 'failed' });
      assert.equal(again.code, 1120);
      await subject.do('discard', { conversation, id: again.id });
      subject.never('state');
    },
  ),

  law(
    'a full outbox refuses the new message and keeps what waits',
    ['C-OUTBOX-3'],
    { full: true },
    async world => {
      const { subject, other, room } = await world.two();
      await world.server.kill();
      await subject.hears('state', { current: 'reconnecting' });
      const sent = await subject.say(room, ...texts(500));
      await assert.rejects(subject.do('send', { conversation: room, text: 'one more' }), { code: 4 });
      await world.server.restart();
      await subject.reached(sent, ...STORED);
      const log = await world.agree(room, subject, other);
      assert.deepEqual(
        log.map(([, id]) => id),
        sent.map(({ id }) => id),
      );
    },
  ),
];
