/** Laws of what is followed besides conversations: inbox, presence, typing, requests. */
import { describe, expect, it } from 'vitest';
import type { InboxEntry, Presence } from '../src/protocol/delivery';
import { CONVERSATION, member } from './fake-server';
import { Rig } from './rig';

const OTHER = '019a7b0d-7e00-7abc-8def-0102030405ff';

function entry(conversation: string, change: Partial<InboxEntry> = {}): InboxEntry {
  const fixed = { conversation, kind: 'support', status: 'queued', subject: undefined } as const;
  const rest = { assignee: undefined, head: 1, activeAtMs: 1, read: 0, unread: 1, members: [], gone: false };
  return { ...fixed, ...rest, ...change };
}

function presence(version: number, change: Partial<Presence> = {}): Presence {
  const fixed = { user: 'ben', availability: 'online', connectivity: 'connected', lastSeenMs: 0 } as const;
  return { ...fixed, version, ...change };
}

describe('the inbox', () => {
  it('is listed by latest activity, and late entries do not turn it back', () => {
    const rig = new Rig().connected();
    rig.call(call => {
      rig.machine.watchInbox(rig.now, true, call);
    });
    rig.server.control({ type: 'InboxEntry', body: entry(CONVERSATION, { head: 5, activeAtMs: 10 }) });
    rig.server.control({ type: 'InboxEntry', body: entry(OTHER, { activeAtMs: 20 }) });
    rig.server.control({ type: 'InboxEntry', body: entry(CONVERSATION, { head: 4, activeAtMs: 30 }) });
    rig.advance(100);
    expect(rig.machine.inbox.list.map(({ conversation, head }) => [conversation, head])).toEqual([
      [OTHER, 1],
      [CONVERSATION, 5],
    ]);
    rig.server.control({ type: 'InboxEntry', body: entry(OTHER, { gone: true }) });
    rig.advance(100);
    expect(rig.machine.inbox.list.length).toBe(1);
    expect(rig.of('inbox.updated').at(-1)).toEqual({ conversation: OTHER, entry: undefined });
  });

  it('is asked for again after a drop, and what is not told again is gone', () => {
    const rig = new Rig().connected();
    rig.call(call => {
      rig.machine.watchInbox(rig.now, true, call);
    });
    rig.server.control({ type: 'InboxEntry', body: entry(OTHER) });
    rig.advance(100);
    rig.drop();
    rig.advance(2_000);
    expect(rig.server.of('WatchInbox').length).toBe(2);
    expect(rig.machine.inbox.list).toEqual([]);
  });
});

describe('presence', () => {
  it('drops what is stale within a reign and takes what a new reign says', () => {
    const rig = new Rig().connected();
    rig.machine.presences.wanted.add('ben');
    rig.call(call => {
      rig.machine.watchPresence(rig.now, call);
    });
    rig.server.control({ type: 'Presence', body: presence(7) });
    rig.server.control({ type: 'Presence', body: presence(6, { connectivity: 'offline' }) });
    rig.advance(100);
    expect(rig.machine.presences.get('ben')?.connectivity).toBe('connected');
    rig.server.epoch = 4;
    rig.drop();
    rig.advance(2_000);
    expect(rig.server.of('WatchPresence').at(-1)?.users).toEqual(['ben']);
    rig.server.control({ type: 'Presence', body: presence(1, { connectivity: 'idle' }) });
    rig.advance(100);
    expect(rig.machine.presences.get('ben')?.connectivity).toBe('idle');
    expect(rig.of('presence.updated').map(({ connectivity }) => connectivity)).toEqual(['connected', 'idle']);
  });

  it('says again on every connection that the user is idle', () => {
    const rig = new Rig().connected();
    rig.do(() => {
      rig.machine.idle(rig.now, true);
    });
    rig.advance(50);
    rig.drop();
    rig.advance(2_000);
    const signals = rig.server.of('Idle');
    expect(signals.map(({ idle }) => idle)).toEqual([true, true]);
    expect(signals[1]!.version).toBeGreaterThan(signals[0]!.version);
  });
});

describe('typing', () => {
  const key = (rig: Rig): void => {
    rig.do(() => {
      rig.machine.keystroke(rig.now, CONVERSATION);
    });
  };

  it('leaves a few signals for many keystrokes, and one when it stops', () => {
    const rig = new Rig();
    rig.server.members.set(CONVERSATION, [member('ann'), member('ben')]);
    rig.subscribed();
    for (let i = 0; i < 100; i++) {
      key(rig);
      rig.advance(100);
    }
    rig.advance(10_000);
    const signals = rig.server.of('Typing');
    expect(signals.length).toBeGreaterThanOrEqual(5);
    expect(signals.length).toBeLessThanOrEqual(7);
    expect(signals.map(({ active }) => active).lastIndexOf(true)).toBe(signals.length - 2);
    expect(signals.at(-1)?.active).toBe(false);
    expect(signals.every(({ version }, i) => i === 0 || version > signals[i - 1]!.version)).toBe(true);
  });

  it('is said by members only', () => {
    const rig = new Rig();
    rig.server.members.set(CONVERSATION, [member('ben')]);
    rig.subscribed();
    key(rig);
    rig.advance(100);
    expect(rig.server.of('Typing')).toEqual([]);
  });

  it('of others is believed for its time, in the order of its versions, until they have said it', () => {
    const rig = new Rig().subscribed();
    const heard = (version: number, ttlMs: number): void => {
      rig.server.control({
        type: 'Typing',
        body: { conversation: CONVERSATION, user: 'ben', version, ttlMs },
      });
      rig.advance(50);
    };
    const typists = (): string[] => rig.machine.typing.typists(CONVERSATION);
    heard(5, 6_000);
    expect(typists()).toEqual(['ben']);
    heard(4, 0);
    heard(5, 0);
    expect(typists()).toEqual(['ben']);
    rig.advance(6_000);
    expect(typists()).toEqual([]);
    heard(6, 6_000);
    rig.server.say('ben', 'done');
    rig.advance(50);
    expect(typists()).toEqual([]);
    expect(rig.of('typing.started').length).toBe(2);
    expect(rig.of('typing.stopped').length).toBe(2);
  });

  it('of very many is forgotten from its oldest end', () => {
    const rig = new Rig().subscribed();
    for (let i = 0; i < 1_200; i++) {
      const body = { conversation: CONVERSATION, user: `u${i}`, version: 1, ttlMs: 6_000 };
      rig.server.control({ type: 'Typing', body });
    }
    rig.advance(50);
    const typists = rig.machine.typing.typists(CONVERSATION);
    expect([typists.length, typists.at(-1)]).toEqual([1_000, 'u1199']);
    expect(rig.of('typing.stopped').length).toBe(200);
  });

  it('of oneself is not shown', () => {
    const rig = new Rig().subscribed();
    const body = { conversation: CONVERSATION, user: 'ann', version: 1, ttlMs: 6_000 };
    rig.server.control({ type: 'Typing', body });
    rig.advance(50);
    expect(rig.machine.typing.typists(CONVERSATION)).toEqual([]);
  });
});

describe('requests', () => {
  it('for pages go four at a time', () => {
    const rig = new Rig().subscribed();
    rig.flowing = false;
    for (let i = 0; i < 10; i++) {
      rig.call(call => {
        rig.machine.history(rig.now, CONVERSATION, { type: 'before', value: 10 }, 20, call);
      });
    }
    rig.flowing = true;
    rig.advance(15);
    expect(rig.server.of('HistoryRequest').length).toBe(4);
    rig.advance(500);
    expect(rig.server.of('HistoryRequest').length).toBe(10);
  });

  it('that came with an ended token go again when there is a fresh one', () => {
    const rig = new Rig();
    rig.server.tokenExpiresMs = rig.server.time() + 600_000;
    rig.connected();
    rig.server.refuseRequests = 1109;
    const call = rig.call(id => {
      rig.machine.setAvailability(rig.now, 'busy', id);
    });
    rig.advance(15);
    rig.server.refuseRequests = undefined;
    rig.advance(1_000);
    expect(rig.tokenReasons).toEqual(['connect', 'refresh']);
    expect(rig.answers.get(call)).toEqual({ value: undefined });
  });

  it('wait for a connection, and for an answer, but not for ever', () => {
    const rig = new Rig();
    const call = rig.call(id => {
      rig.machine.setAvailability(rig.now, 'busy', id);
    });
    rig.advance(29_000);
    expect(rig.answers.has(call)).toBe(false);
    rig.advance(2_000);
    expect(rig.answers.get(call)?.error).toMatchObject({ code: 1, name: 'timeout', retryable: true });
  });

  it('are repeated on the next connection', () => {
    const rig = new Rig().connected();
    rig.flowing = false;
    const call = rig.call(id => {
      rig.machine.setAvailability(rig.now, 'busy', id);
    });
    rig.advance(100);
    rig.drop();
    rig.flowing = true;
    rig.advance(2_000);
    expect(rig.answers.get(call)?.error).toBeUndefined();
    expect(rig.answers.has(call)).toBe(true);
  });

  it('and subscriptions are refused when the client fails for good', () => {
    const rig = new Rig();
    rig.token = () => new Error('no');
    rig.terminalToken = true;
    const calls = [
      rig.call(id => {
        rig.machine.setAvailability(rig.now, 'busy', id);
      }),
      rig.call(id => {
        rig.machine.subscribe(rig.now, CONVERSATION, {}, id);
      }),
    ];
    rig.connected();
    expect(calls.map(call => rig.answers.get(call)?.error?.code)).toEqual([1101, 1101]);
    const late = rig.call(id => {
      rig.machine.subscribe(rig.now, CONVERSATION, {}, id);
    });
    expect(rig.answers.get(late)?.error?.code).toBe(6);
  });

  it('are refused at once when the client is closed', () => {
    const rig = new Rig().connected();
    rig.do(() => {
      rig.machine.close();
    });
    const call = rig.call(id => {
      rig.machine.setAvailability(rig.now, 'busy', id);
    });
    expect(rig.answers.get(call)?.error?.code).toBe(6);
  });
});
