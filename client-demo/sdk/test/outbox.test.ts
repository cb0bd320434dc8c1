/** Laws of sending: once, in order, with one id, through drops, lost answers, refusals and reloads. */
import { describe, expect, it } from 'vitest';
import { DuetError } from '../src/errors';
import { messageIdTime } from '../src/protocol/ids';
import { CONVERSATION, tokenFor } from './fake-server';
import { random, Rig } from './rig';

describe('a message', () => {
  it('shows at once, is queued, and is accepted', () => {
    const rig = new Rig().subscribed();
    const id = rig.send('hello');
    expect(rig.texts()).toEqual(['hello']);
    expect(rig.of('message.created').map(({ message }) => message.status)).toEqual(['queued']);
    rig.advance(100);
    expect(rig.statuses(id)).toEqual(['accepted']);
    expect(rig.stored.size).toBe(0);
    expect(rig.texts()).toEqual(['hello']);
    expect(rig.of('message.created').length).toBe(1);
  });

  it('has an id of version 7 with the time of the server', () => {
    const rig = new Rig().connected();
    const id = rig.send('hello');
    expect(Math.abs(messageIdTime(id)! - rig.server.time())).toBeLessThan(100);
  });

  it('keeps its id when the answer is lost, and is stored once', () => {
    const rig = new Rig().subscribed();
    rig.server.judge = () => 'silence';
    const id = rig.send('hello');
    rig.advance(11);
    rig.drop();
    rig.server.judge = () => 'accept';
    rig.advance(3_000);
    expect(rig.server.texts()).toEqual(['hello']);
    expect(rig.texts()).toEqual(['hello']);
    expect(rig.statuses(id)).toEqual(['accepted']);
    expect(new Set(rig.server.of('Publish').map(publish => publish.id))).toEqual(new Set([id]));
  });

  it('survives a reload in the middle of being sent', () => {
    for (const pause of [0, 5, 11, 15, 25]) {
      const rig = new Rig().subscribed();
      const id = rig.send('hello');
      rig.advance(pause);
      rig.reload();
      rig.subscribed();
      rig.advance(2_000);
      expect(rig.server.texts()).toEqual(['hello']);
      expect(rig.texts()).toEqual(['hello']);
      expect(rig.machine.conversations.feed(CONVERSATION).timeline.find(id)?.status).toBe('accepted');
      expect(rig.stored.size).toBe(0);
    }
  });

  it('is sent after a reload though nobody opens the conversation', () => {
    const rig = new Rig().subscribed();
    rig.reachable = false;
    rig.drop();
    rig.send('hello');
    rig.reload();
    rig.reachable = true;
    rig.connected();
    rig.advance(2_000);
    expect(rig.server.texts()).toEqual(['hello']);
    expect(rig.stored.size).toBe(0);
  });

  it('written before the first connection waits for it', () => {
    const rig = new Rig();
    rig.send('early');
    expect(rig.stored.size).toBe(0);
    rig.connected();
    rig.advance(1_000);
    expect(rig.server.texts()).toEqual(['early']);
  });

  it('is never sent for somebody else', () => {
    const rig = new Rig().subscribed();
    rig.reachable = false;
    rig.drop();
    rig.send('mine');
    rig.reload();
    rig.reachable = true;
    rig.token = () => tokenFor('ben');
    rig.subscribed();
    rig.advance(5_000);
    expect(rig.server.texts()).toEqual([]);
    expect(rig.stored.size).toBe(1);
    expect(rig.texts()).toEqual([]);
  });

  it('published twice by two devices shows once', () => {
    const rig = new Rig().subscribed();
    const id = rig.send('hello');
    rig.server.say('ann', 'hello', id);
    rig.advance(500);
    expect(rig.texts().filter(text => text === 'hello').length).toBe(2);
    expect(rig.stored.size).toBe(0);
  });

  it('refused for now is sent again, not sooner than allowed, and nothing overtakes it', () => {
    const rig = new Rig().subscribed();
    let refusals = 2;
    rig.server.judge = () => (refusals-- > 0 ? { code: 1111, retryAfterMs: 3_000 } : 'accept');
    for (const word of ['one', 'two', 'three']) rig.send(word);
    rig.advance(2_900);
    expect(rig.server.of('Publish').length).toBe(1);
    rig.advance(10_000);
    expect(rig.server.texts()).toEqual(['one', 'two', 'three']);
  });

  it('refused for good fails with its code, lets the next one pass, and can be sent again or thrown away', () => {
    const rig = new Rig().subscribed();
    rig.server.judge = ({ content }) => {
      return content.body.length === 3 ? { code: 1120, retryAfterMs: 0 } : 'accept';
    };
    const id = rig.send('bad');
    rig.send('good');
    rig.advance(500);
    expect(rig.server.texts()).toEqual(['good']);
    expect(rig.statuses(id)).toEqual(['failed']);
    expect(rig.of('message.status').find(event => event.id === id)?.error).toMatchObject({
      code: 1120,
      name: 'conversation_closed',
      retryable: false,
    });
    rig.reload();
    rig.subscribed();
    expect(rig.machine.conversations.feed(CONVERSATION).timeline.find(id)?.status).toBe('failed');
    rig.server.judge = () => 'accept';
    rig.do(() => {
      rig.machine.conversations.retry(rig.now, CONVERSATION, id);
    });
    rig.advance(500);
    expect(rig.server.texts()).toEqual(['good', 'bad']);
    expect(rig.stored.size).toBe(0);
  });

  it('that asked for two disks says so when it cannot have them', () => {
    const rig = new Rig().subscribed();
    rig.server.judge = () => ({ code: 1140, retryAfterMs: 0 });
    rig.do(() => {
      rig.machine.conversations.send(rig.now, CONVERSATION, 'x', { durability: 'mirrored' });
    });
    rig.advance(100);
    expect(rig.of('message.status')[0]?.error).toMatchObject({ code: 1140, retryable: true });
    rig.server.judge = () => 'accept';
    const { id } = rig.of('message.status')[0]!;
    rig.do(() => {
      rig.machine.conversations.retry(rig.now, CONVERSATION, id);
    });
    rig.advance(100);
    expect(rig.statuses(id)).toEqual(['failed', 'queued', 'accepted', 'mirrored']);
  });

  it('too old to be told from a repetition fails, and goes again as a new one', () => {
    const rig = new Rig().subscribed();
    rig.reachable = false;
    rig.drop();
    const id = rig.send('old');
    rig.advance(23 * 3_600_000 + 60_000);
    expect(rig.statuses(id)).toEqual(['failed']);
    rig.reachable = true;
    rig.advance(30_000);
    expect(rig.server.texts()).toEqual([]);
    rig.do(() => {
      expect(rig.machine.conversations.retry(rig.now, CONVERSATION, id)?.id).not.toBe(id);
    });
    rig.advance(500);
    expect(rig.server.texts()).toEqual(['old']);
    expect(rig.texts()).toEqual(['old']);
  });

  it('that is ephemeral is not stored, not repeated, not listed', () => {
    const rig = new Rig().subscribed();
    const send = (): string => {
      return rig.machine.conversations.send(rig.now, CONVERSATION, 'tick', { durability: 'ephemeral' }).id;
    };
    let id = '';
    rig.do(() => {
      id = send();
    });
    rig.advance(100);
    expect(rig.statuses(id)).toEqual(['accepted']);
    expect([rig.texts(), rig.stored.size]).toEqual([[], 0]);
    rig.drop();
    expect(send).toThrow(DuetError);
  });
});

describe('the outbox', () => {
  it('is bounded by count and by bytes, and says so', () => {
    const rig = new Rig();
    for (let i = 0; i < 50; i++) rig.send(`${i}`);
    expect(() => rig.send('one more')).toThrow(
      expect.objectContaining({ code: 4, name: 'outbox_full' }) as Error,
    );
    const other = new Rig();
    for (let i = 0; i < 6; i++) other.send('x'.repeat(16_000));
    expect(() => other.send('x'.repeat(16_000))).toThrow(expect.objectContaining({ code: 4 }) as Error);
    expect(() => other.send('x'.repeat(17_000))).toThrow(expect.objectContaining({ code: 1130 }) as Error);
  });

  it.each(Array.from({ length: 60 }, (_, seed) => seed))(
    'delivers everything once and in order through drops, lost answers, refusals and reloads (seed %i)',
    seed => {
      const dice = random(1_000 + seed);
      const rig = new Rig({ seed }).subscribed();
      const rooms = [CONVERSATION, '019a7b0d-7e00-7abc-8def-0102030405ff'];
      const sent = new Map(rooms.map(room => [room, [] as string[]]));
      rig.server.judge = () => {
        const roll = dice();
        if (roll < 0.15) return 'silence';
        return roll < 0.25 ? { code: 1111, retryAfterMs: Math.floor(dice() * 500) } : 'accept';
      };
      for (let step = 0; step < 60; step++) {
        const roll = dice();
        const room = rooms[Math.floor(dice() * rooms.length)]!;
        if (roll < 0.5) {
          const word = `${seed}-${step}`;
          sent.get(room)!.push(word);
          rig.send(word, room);
        } else if (roll < 0.62) rig.drop();
        else if (roll < 0.68) {
          rig.reload();
          rig.connected();
        } else if (roll < 0.74) rig.flowing = !rig.flowing;
        else if (roll < 0.8) rig.server.say('ben', `ben-${step}`, crypto.randomUUID(), room);
        rig.advance(Math.floor(dice() * 700));
      }
      rig.flowing = true;
      rig.server.judge = () => 'accept';
      for (const room of rooms) {
        rig.call(call => {
          rig.machine.conversations.feed(room).subscribe(rig.now, {}, call);
        });
      }
      rig.advance(120_000);
      for (const room of rooms) {
        const own = rig.server.texts(room).filter(text => !text.startsWith('ben'));
        expect(own).toEqual(sent.get(room));
        const log = rig.server.texts(room);
        expect(rig.texts(room)).toEqual(log.slice(-rig.texts(room).length));
        expect(rig.texts(room).length).toBeGreaterThanOrEqual(Math.min(log.length, 1));
      }
      expect(rig.stored.size).toBe(0);
    },
  );
});
