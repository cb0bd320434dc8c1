/** Laws of changes: two clients that hold the same events show the same, in whatever order they came; own changes show at once. */
import { describe, expect, it } from 'vitest';
import { cardOf } from '../src/card';
import { type Change, Changes } from '../src/machine/changes';
import { fromWire, message as messageOf, toWire } from '../src/machine/convert';
import { encode } from '../src/protocol/codec';
import { EVENT_BODIES } from '../src/protocol/event';
import type { Content, Message } from '../src/values';
import { CONVERSATION, member } from './fake-server';
import { random, Rig } from './rig';

const text = (words: string): Content => ({ format: 'text', text: words });
const AT = { at: 7, author: 'ben' };

function base(seq = 1): Message {
  const body = { id: `m${seq}`, content: toWire('first'), replyTo: undefined };
  return messageOf(CONVERSATION, { seq, atMs: 1, author: 'ben' }, body, false);
}

function chatting(): Rig {
  const rig = new Rig();
  rig.server.members.set(CONVERSATION, [member('ann'), member('ben')]);
  return rig.subscribed();
}

function change(rig: Rig, act: Parameters<Rig['machine']['conversations']['change']>[2]): string {
  let id = '';
  rig.do(() => {
    id = rig.machine.conversations.change(rig.now, CONVERSATION, act, {});
  });
  return id;
}

function shown(rig: Rig, seq: number): Message {
  return rig.machine.conversations.feed(CONVERSATION).timeline.at(seq)!;
}

describe('the fold', () => {
  it('gives the same whatever the order of arrival, and however often', () => {
    const told: Change[] = [
      { kind: 'change', id: 'a', target: 1, seq: 2, ...AT, type: 'edited', content: text('second') },
      { kind: 'change', id: 'b', target: 1, seq: 5, ...AT, type: 'edited', content: text('third') },
      { kind: 'change', id: 'c', target: 1, seq: 3, ...AT, type: 'reacted', emoji: '👍', on: true },
      {
        kind: 'change',
        id: 'd',
        target: 1,
        seq: 4,
        at: 7,
        author: 'ann',
        type: 'reacted',
        emoji: '🎉',
        on: true,
      },
      { kind: 'change', id: 'e', target: 1, seq: 6, ...AT, type: 'reacted', emoji: '👍', on: false },
      { kind: 'change', id: 'f', target: 1, seq: 8, ...AT, type: 'reacted', emoji: '👍', on: true },
    ];
    const unit = random(11);
    for (let run = 0; run < 200; run++) {
      const changes = new Changes();
      const order = [...told, ...told].toSorted(() => unit() - 0.5);
      for (const each of order) changes.told(each);
      const folded = changes.fold(base(), 'ann');
      expect(folded.text).toBe('third');
      expect(folded.reactions).toEqual([
        { emoji: '👍', users: ['ben'], own: false },
        { emoji: '🎉', users: ['ann'], own: true },
      ]);
      changes.told({ kind: 'change', id: 'g', target: 1, seq: 7, ...AT, type: 'deleted' });
      for (const each of told) changes.told(each);
      expect(changes.fold(base(), 'ann')).toMatchObject({
        text: '',
        reactions: [],
        deleted: { at: 7, by: 'ben' },
      });
    }
  });

  it('ignores a change of what is not before it', () => {
    const changes = new Changes();
    expect(changes.told({ kind: 'change', id: 'a', target: 5, seq: 5, ...AT, type: 'deleted' })).toBe(false);
    expect(changes.fold(base(5), undefined)).toEqual(base(5));
  });

  it('is the same for who was there, who was away, and who reads the past', () => {
    const rig = chatting();
    rig.server.say('ben', 'one');
    rig.server.say('ben', 'two');
    const amend = (kind: 7 | 8, target: number): void => {
      const id = crypto.randomUUID();
      const content = toWire('changed');
      if (kind === 7) rig.server.append('ben', 7, encode(EVENT_BODIES.Edited[1], { id, target, content }));
      else rig.server.append('ben', 8, encode(EVENT_BODIES.Deleted[1], { id, target }));
    };
    rig.advance(100);
    amend(7, 1);
    rig.advance(100);
    rig.reachable = false;
    rig.drop();
    amend(8, 2);
    rig.reachable = true;
    rig.advance(3_000);
    const view = (of: Rig): unknown => [1, 2].map(seq => [shown(of, seq).text, shown(of, seq).deleted?.by]);
    expect(view(rig)).toEqual([
      ['changed', undefined],
      ['', 'ben'],
    ]);
    expect(rig.of('message.updated').map(({ change: what, live }) => [what, live])).toEqual([
      ['edited', true],
      ['deleted', false],
    ]);
    // A page of the past that is read after its changes were heard of.
    const late = new Rig();
    late.server.logs.set(CONVERSATION, rig.server.log());
    late.connected();
    late.call(call => {
      late.machine.conversations.feed(CONVERSATION).subscribe(late.now, { latest: 2 }, call);
    });
    late.advance(200);
    late.call(call => {
      late.machine.history(late.now, CONVERSATION, { type: 'before', value: 3 }, 50, call);
    });
    late.advance(200);
    expect(view(late)).toEqual(view(rig));
  });

  it('shows a tombstone as a deleted message, and what is withheld not at all', () => {
    const rig = chatting();
    const tombstone = (of: number): void => {
      rig.server.append('ben', 10, encode(EVENT_BODIES.Tombstone[1], { of, deletion: 9, deletedAtMs: 5 }));
    };
    tombstone(1);
    tombstone(1);
    rig.server.append(undefined, 13, new Uint8Array());
    rig.server.say('ben', 'after');
    rig.advance(200);
    const { entries } = rig.machine.conversations.feed(CONVERSATION).timeline;
    expect(entries.map(entry => entry.seq)).toEqual([1, 4]);
    expect(entries[0]).toMatchObject({ author: 'ben', text: '', deleted: { at: 5 } });
    expect(rig.machine.conversations.feed(CONVERSATION).unknownEvents).toBe(0);
  });

  it('unwraps what is private once, and marks it', () => {
    const rig = chatting();
    const body = encode(EVENT_BODIES.Message[1], {
      id: crypto.randomUUID(),
      content: toWire('between us'),
      replyTo: undefined,
    });
    const inner = encode(EVENT_BODIES.Private[1], { kind: 1, body });
    rig.server.append('ben', 12, inner);
    rig.server.append('ben', 12, encode(EVENT_BODIES.Private[1], { kind: 12, body: inner }));
    rig.advance(100);
    expect(shown(rig, 1)).toMatchObject({ text: 'between us', private: true });
    expect(rig.machine.conversations.feed(CONVERSATION).unknownEvents).toBe(1);
  });
});

describe('an own change', () => {
  it('is shown at once, told as accepted, and is one event however often it is sent', () => {
    const rig = chatting();
    rig.send('hello');
    rig.advance(200);
    rig.server.judge = () => 'silence';
    const id = change(rig, { type: 'edit', target: 1, content: 'hello!' });
    expect(shown(rig, 1)).toMatchObject({ text: 'hello!', pending: { id, type: 'edit' } });
    rig.advance(15);
    rig.server.judge = () => 'accept';
    rig.drop();
    rig.advance(3_000);
    expect(shown(rig, 1)).toMatchObject({ text: 'hello!', pending: undefined, status: 'accepted' });
    expect(rig.server.log().length).toBe(2);
    expect(rig.of('change.status').map(({ status }) => status)).toEqual(['queued', 'accepted']);
    expect(rig.stored.size).toBe(0);
  });

  it('waits for a connection, in order with the messages, and survives a reload', () => {
    const rig = chatting();
    rig.server.say('ben', 'one');
    rig.advance(100);
    rig.reachable = false;
    rig.drop();
    change(rig, { type: 'react', target: 1, emoji: '👍', on: true });
    rig.send('two');
    change(rig, { type: 'react', target: 1, emoji: '👍', on: false });
    expect(shown(rig, 1).reactions).toEqual([]);
    rig.reload();
    rig.reachable = true;
    rig.subscribed();
    rig.advance(2_000);
    expect(rig.server.log().map(({ kind }) => kind)).toEqual([1, 9, 1, 9]);
    expect(shown(rig, 1)).toMatchObject({ reactions: [], pending: undefined });
  });

  it('that is refused is taken back, told with its reason, and can be tried again or given up', () => {
    const rig = chatting();
    rig.send('hello');
    rig.advance(200);
    rig.server.judge = () => ({ code: 1103, retryAfterMs: 0 });
    const id = change(rig, { type: 'delete', target: 1 });
    expect(shown(rig, 1).deleted).toBeDefined();
    rig.advance(100);
    expect(shown(rig, 1)).toMatchObject({ text: 'hello', deleted: undefined, pending: { id } });
    expect(shown(rig, 1).pending?.error?.code).toBe(1103);
    expect(rig.of('change.status').at(-1)).toMatchObject({ id, target: 1, status: 'failed' });
    rig.server.judge = () => 'accept';
    rig.do(() => {
      rig.machine.conversations.retry(rig.now, CONVERSATION, id);
    });
    rig.advance(100);
    expect(shown(rig, 1).deleted?.by).toBe('ann');

    rig.send('again');
    rig.advance(100);
    rig.server.judge = () => ({ code: 1103, retryAfterMs: 0 });
    const second = change(rig, { type: 'edit', target: 3, content: 'no' });
    rig.advance(100);
    rig.do(() => {
      rig.machine.conversations.discard(CONVERSATION, second);
    });
    expect(shown(rig, 3)).toMatchObject({ text: 'again', pending: undefined });
    expect(rig.stored.size).toBe(0);
  });

  it('is refused here when the server takes none', () => {
    const rig = new Rig();
    rig.server.capabilities = 1n;
    rig.subscribed();
    rig.send('hello');
    rig.advance(100);
    change(rig, { type: 'delete', target: 1 });
    rig.send('behind');
    rig.advance(200);
    expect(rig.server.of('Amend')).toEqual([]);
    expect(shown(rig, 1).pending?.error?.code).toBe(1100);
    expect(rig.server.texts()).toEqual(['hello', 'behind']);
  });
});

describe('a note', () => {
  it('goes the way of a message, and is marked from its echo on', () => {
    const rig = chatting();
    rig.do(() => {
      rig.machine.conversations.send(rig.now, CONVERSATION, 'careful', {}, true);
    });
    expect(rig.of('message.created').at(-1)?.message).toMatchObject({ private: true, status: 'queued' });
    rig.advance(100);
    expect(shown(rig, 1)).toMatchObject({ text: 'careful', private: true, own: true, status: 'accepted' });
    expect(rig.server.log().map(({ kind }) => kind)).toEqual([12]);
    expect(rig.of('message.created').length).toBe(1);
  });
});

describe('a card', () => {
  const card = {
    fallback: 'Your order',
    title: 'Order 7',
    fields: [{ label: 'Total', value: '12 €', short: true }],
    buttons: [
      { label: 'Track', url: 'https://example.org/7' },
      { label: 'Cancel', value: 'cancel' },
    ],
    quickReplies: [{ label: 'Thanks' }],
  };
  const wire = (value: unknown): Content => {
    return fromWire({ format: 3, body: new TextEncoder().encode(JSON.stringify(value)) });
  };

  it('is read with what is left out, and its words are its fallback', () => {
    const content = wire(card);
    expect(content).toMatchObject({ format: 'card', card: { title: 'Order 7', buttons: card.buttons } });
    expect(content.format === 'card' && content.card.quickReplies).toEqual([
      { label: 'Thanks', value: 'Thanks' },
    ]);
    expect(fromWire(toWire(content))).toEqual(content);
  });

  it('that breaks a rule is its fallback, or nothing that can be shown', () => {
    const broken = [
      { ...card, title: 'x'.repeat(201) },
      { ...card, buttons: [{ label: 'Run', url: 'javascript:alert(1)' }] },
      { ...card, buttons: [{ label: 'Both', url: 'https://a.example', value: 'b' }] },
      { ...card, image: { url: 'http://a.example/x.png', alt: '' } },
      { ...card, quickReplies: Array.from({ length: 13 }, () => ({ label: 'a' })) },
      { fallback: 'only that' },
    ];
    for (const each of broken) {
      expect(cardOf(each)).toBeUndefined();
      expect(wire(each)).toEqual({ format: 'text', text: each.fallback });
    }
    expect(wire({ title: 'no fallback' })).toMatchObject({ format: 'other', number: 3 });
    expect(wire([1])).toMatchObject({ format: 'other', number: 3 });
    expect(() => toWire({ format: 'card', card: { fallback: '' } })).toThrow('rule');
  });
});
