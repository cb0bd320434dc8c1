/** Laws of conversations: order, gaps, receipts, history, what a reload keeps. */
import { describe, expect, it } from 'vitest';
import { encode } from '../src/protocol/codec';
import { encodeDelivery } from '../src/protocol/delivery';
import { EVENT_BODIES } from '../src/protocol/event';
import { fromDatagram } from '../src/protocol/frame';
import { CONVERSATION, member } from './fake-server';
import { Rig } from './rig';

const text = (id: string, value: string): Uint8Array => {
  const content = { format: 0, body: new TextEncoder().encode(value) };
  return encode(EVENT_BODIES.Message[1], { id, content, replyTo: undefined });
};

describe('a subscription', () => {
  it('shows the backlog, then what happens, in order', () => {
    const rig = new Rig();
    for (const word of ['one', 'two']) rig.server.say('ben', word);
    rig.subscribed();
    expect(rig.answers.get(1)).toEqual({ value: undefined });
    rig.server.say('ben', 'three');
    rig.advance(100);
    expect(rig.texts()).toEqual(['one', 'two', 'three']);
    expect(rig.of('message.created').map(({ live }) => live)).toEqual([false, false, true]);
  });

  it('goes on where it stood after a drop, without a hole and without a repetition', () => {
    const rig = new Rig().subscribed();
    rig.server.say('ben', 'one');
    rig.advance(100);
    rig.drop();
    for (const word of ['two', 'three']) rig.server.say('ben', word);
    rig.advance(2_000);
    rig.server.say('ben', 'four');
    rig.advance(100);
    expect(rig.texts()).toEqual(['one', 'two', 'three', 'four']);
    expect(rig.of('message.created').length).toBe(4);
    expect(rig.server.of('Open').at(-1)?.start).toEqual({ type: 'after', value: { epoch: 3, seq: 1 } });
  });

  it('opens again from its position when an event is missing', () => {
    const rig = new Rig().subscribed();
    rig.server.say('ben', 'one');
    rig.advance(100);
    rig.flowing = false;
    rig.server.say('ben', 'lost');
    rig.advance(50);
    rig.flowing = true;
    rig.server.say('ben', 'three');
    rig.advance(500);
    expect(rig.texts()).toEqual(['one', 'lost', 'three']);
    expect(rig.server.of('Open').length).toBe(2);
  });

  it('drops what it has seen', () => {
    const rig = new Rig().subscribed();
    const event = rig.server.say('ben', 'one');
    rig.server.broadcast({ type: 'Event', body: event });
    rig.advance(100);
    expect(rig.texts()).toEqual(['one']);
  });

  it('says so and begins anew when events are gone for good', () => {
    const rig = new Rig();
    for (const word of ['one', 'two', 'three']) rig.server.say('ben', word);
    rig.subscribed();
    rig.drop();
    // The server lost its last two events and has one of its own now.
    rig.server.log().splice(1);
    rig.server.epoch = 4;
    rig.advance(2_000);
    expect(rig.of('discontinuity').map(({ conversation }) => conversation)).toEqual([CONVERSATION]);
    expect(rig.texts()).toEqual(['one']);
  });

  it('counts events of kinds that it does not know', () => {
    const rig = new Rig().subscribed();
    rig.server.append(undefined, 65_000, Uint8Array.of(1, 2, 3));
    rig.server.append('ben', 1, Uint8Array.of(1));
    rig.server.say('ben', 'after');
    rig.advance(100);
    expect(rig.texts()).toEqual(['after']);
    const feed = rig.machine.conversations.feed(CONVERSATION);
    expect([feed.unknownEvents, feed.position?.seq]).toEqual([2, 3]);
  });

  it('ends for good with 20xx and comes back by itself with 25xx', () => {
    const rig = new Rig().subscribed();
    rig.server.broadcast({ type: 'Unsubscribed', body: { code: 2500, reason: '' } });
    rig.advance(500);
    rig.server.say('ben', 'one');
    rig.advance(100);
    expect(rig.texts()).toEqual(['one']);
    rig.server.broadcast({ type: 'Unsubscribed', body: { code: 2001, reason: 'out' } });
    rig.advance(5_000);
    expect(rig.of('error').map(error => [error.code, error.name])).toEqual([[2001, 'access_revoked']]);
    expect(rig.server.of('Open').length).toBe(2);
  });

  it('that is refused rejects with the code', () => {
    const rig = new Rig().connected();
    const lanes: number[] = [];
    rig.server.hear = (_, lane) => lanes.push(lane);
    const call = rig.call(id => {
      rig.machine.conversations.feed(CONVERSATION).subscribe(rig.now, {}, id);
    });
    rig.advance(20);
    const subject = { type: 'lane', value: undefined } as const;
    const refusal = { subject, code: 1104, message: 'no such thing', retryAfterMs: 0 };
    rig.do(() => {
      const inner = encodeDelivery({ type: 'Refused', body: refusal });
      rig.machine.frame(rig.now, 1, lanes[0]!, fromDatagram(inner));
    });
    expect(rig.answers.get(call)?.error?.code).toBe(1104);
  });

  it('gives up reopening quickly when it fails again and again', () => {
    const rig = new Rig().subscribed();
    rig.server.log().push({ seq: 5, atMs: 0, author: 'ben', kind: 1, body: text(crypto.randomUUID(), 'x') });
    rig.server.broadcast({ type: 'Event', body: rig.server.log()[0]! });
    rig.advance(60_000);
    expect(rig.server.of('Open').length).toBeLessThan(20);
  });

  it('keeps its position over a reload for an application that keeps the messages', () => {
    const rig = new Rig().subscribed();
    rig.server.say('ben', 'one');
    rig.advance(100);
    rig.reload();
    const feed = rig.machine.conversations.feed(CONVERSATION);
    expect(feed.position).toEqual({ epoch: 3, seq: 1 });
    rig.connected();
    const after = feed.position!;
    rig.call(call => {
      feed.subscribe(rig.now, { after }, call);
    });
    rig.server.say('ben', 'two');
    rig.advance(200);
    expect(rig.texts()).toEqual(['two']);
  });
});

describe('receipts', () => {
  it('leave together, at most five times a second', () => {
    const rig = new Rig();
    rig.server.members.set(CONVERSATION, [member('ann'), member('ben')]);
    rig.subscribed();
    rig.advance(1_000);
    const before = rig.server.of('Receipt').length;
    for (let i = 0; i < 100; i++) {
      rig.server.say('ben', `${i}`);
      rig.advance(10);
    }
    rig.do(() => {
      rig.machine.conversations.feed(CONVERSATION).markRead(rig.now, 50);
    });
    rig.advance(1_000);
    const receipts = rig.server.of('Receipt').slice(before);
    expect(receipts.length).toBeLessThanOrEqual(7);
    expect(receipts.at(-1)).toEqual({ received: 100, read: 50 });
  });

  it('are not sent by who is no member', () => {
    const rig = new Rig();
    rig.server.members.set(CONVERSATION, [member('ben')]);
    rig.subscribed();
    rig.server.say('ben', 'one');
    rig.advance(1_000);
    expect(rig.server.of('Receipt')).toEqual([]);
  });

  it('of others turn an own message delivered, then read, and never back', () => {
    const rig = new Rig();
    rig.server.members.set(CONVERSATION, [member('ann'), member('ben')]);
    rig.subscribed();
    const id = rig.send('hello');
    rig.advance(100);
    for (const [received, read] of [
      [1, 0],
      [1, 1],
      [0, 0],
    ] as const) {
      rig.server.broadcast({ type: 'ReceiptUpdated', body: { user: 'ben', received, read } });
      rig.advance(50);
    }
    expect(rig.statuses(id)).toEqual(['accepted', 'delivered', 'read']);
    expect(rig.of('receipt.updated').length).toBe(2);
  });

  it('of oneself from another device do not count as delivery', () => {
    const rig = new Rig();
    rig.server.members.set(CONVERSATION, [member('ann'), member('ben')]);
    rig.subscribed();
    const id = rig.send('hello');
    rig.advance(100);
    rig.server.broadcast({ type: 'ReceiptUpdated', body: { user: 'ann', received: 1, read: 1 } });
    rig.advance(50);
    expect(rig.statuses(id)).toEqual(['accepted']);
    expect(rig.machine.conversations.feed(CONVERSATION).read).toBe(1);
  });
});

describe('history', () => {
  it('joins the window when it adjoins', () => {
    const rig = new Rig();
    for (let i = 1; i <= 80; i++) rig.server.say('ben', `${i}`);
    rig.subscribed();
    expect(rig.texts()[0]).toBe('31');
    const call = rig.call(id => {
      rig.machine.history(rig.now, CONVERSATION, { type: 'before', value: 31 }, 20, id);
    });
    rig.advance(100);
    expect(rig.answers.get(call)?.value).toMatchObject({ more: true });
    expect(rig.texts().slice(0, 2)).toEqual(['11', '12']);
    expect(rig.texts().length).toBe(70);
  });

  it('is asked for again when the connection broke under it', () => {
    const rig = new Rig().subscribed();
    rig.flowing = false;
    const call = rig.call(id => {
      rig.machine.history(rig.now, CONVERSATION, { type: 'before', value: 10 }, 20, id);
    });
    rig.advance(100);
    rig.drop();
    rig.flowing = true;
    rig.advance(2_000);
    expect(rig.answers.get(call)).toEqual({ value: { entries: [], more: false } });
  });
});

describe('the life of a conversation', () => {
  it('is what the server says it is, whatever the backlog tells of the past', () => {
    const rig = new Rig();
    rig.server.append('cleo', 6, encode(EVENT_BODIES.StatusChanged[1], { status: 'queued' }));
    rig.subscribed();
    const feed = rig.machine.conversations.feed(CONVERSATION);
    expect([feed.timeline.entries[0]?.kind, feed.standing.status]).toEqual(['status.changed', 'active']);
  });

  it('is told by its events', () => {
    const rig = new Rig().subscribed();
    const feed = rig.machine.conversations.feed(CONVERSATION);
    const joined = { user: 'cleo', name: 'Cleo', role: 'agent' } as const;
    rig.server.append(undefined, 3, encode(EVENT_BODIES.MemberJoined[1], joined));
    rig.server.append(undefined, 5, encode(EVENT_BODIES.Assigned[1], { agent: 'cleo' }));
    rig.server.append('cleo', 6, encode(EVENT_BODIES.StatusChanged[1], { status: 'resolved' }));
    rig.advance(100);
    expect([feed.standing.assignee, feed.standing.status, feed.standing.roster.list[0]?.name]).toEqual([
      'cleo',
      'resolved',
      'Cleo',
    ]);
    rig.server.append('cleo', 4, encode(EVENT_BODIES.MemberLeft[1], { user: 'cleo' }));
    rig.advance(100);
    expect(feed.standing.roster.list).toEqual([]);
    const kinds = rig.of('conversation.updated').flatMap(({ entry }) => entry?.kind ?? []);
    expect(kinds).toEqual(['member.joined', 'assigned', 'status.changed', 'member.left']);
  });
});
