/** Laws of what the page says by itself: ticks, banner, presence, unread. */
import type { ClientState, Message, MessageStatus, Presence } from '@duet/client';
import { describe, expect, it } from 'vitest';
import { bannerChangesIn, bannerLevel, LINE_AFTER_MS, OFFER_AFTER_MS } from '../src/model/banner';
import { Drafts } from '../src/model/drafts';
import { initials } from '../src/model/names';
import { presenceLook } from '../src/model/presence';
import { answered, looked, newBelow, opened } from '../src/model/seen';
import { tickOf } from '../src/model/ticks';

describe('ticks', () => {
  it('give every status a shape and a word of its own', () => {
    const all: MessageStatus[] = ['queued', 'accepted', 'mirrored', 'delivered', 'read', 'failed'];
    expect(new Set(all.map(status => tickOf(status).shape)).size).toBe(all.length);
    expect(new Set(all.map(status => tickOf(status).text)).size).toBe(all.length);
  });
});

describe('the banner', () => {
  const away: ClientState[] = ['connecting', 'reconnecting', 'suspended'];

  it('is silent for two seconds, a line up to ten, an offer after that', () => {
    for (const state of away) {
      expect(bannerLevel(state, 0)).toBe('none');
      expect(bannerLevel(state, LINE_AFTER_MS - 1)).toBe('none');
      expect(bannerLevel(state, LINE_AFTER_MS)).toBe('line');
      expect(bannerLevel(state, OFFER_AFTER_MS - 1)).toBe('line');
      expect(bannerLevel(state, OFFER_AFTER_MS)).toBe('offer');
    }
  });

  it('says nothing to those who are connected or never asked to be', () => {
    for (const state of ['connected', 'disconnected', 'closed'] as const) {
      expect(bannerLevel(state, 60_000)).toBe('none');
    }
    expect(bannerLevel('failed', 0)).toBe('failed');
  });

  it('wakes exactly when its level changes, and not again after the last change', () => {
    for (const state of away) {
      for (const at of [0, 1_999, 2_000, 9_999]) {
        const wait = bannerChangesIn(state, at) ?? NaN;
        expect(bannerLevel(state, at + wait)).not.toBe(bannerLevel(state, at));
        expect(bannerLevel(state, at + wait - 1)).toBe(bannerLevel(state, at));
      }
      expect(bannerChangesIn(state, OFFER_AFTER_MS)).toBeUndefined();
    }
    expect(bannerChangesIn('connected', 0)).toBeUndefined();
  });
});

describe('presence', () => {
  const of = (
    availability: Presence['availability'],
    connectivity: Presence['connectivity'],
  ): string | undefined => presenceLook({ user: 'a', availability, connectivity, lastSeen: 0 })?.shape;

  it('claims nothing that is not known', () => {
    expect(presenceLook(undefined)).toBeUndefined();
    expect(of('online', 'reconnecting')).toBe('unsure');
  });

  it('lets what is observed outweigh what was chosen', () => {
    expect(of('online', 'offline')).toBe('offline');
    expect(of('online', 'idle')).toBe('away');
    expect(of('online', 'connected')).toBe('online');
    expect(of('busy', 'connected')).toBe('busy');
    expect(of('offline', 'connected')).toBe('offline');
  });
});

describe('what was seen', () => {
  const entry = (seq: number, own = false): Message => ({ kind: 'message', seq, own }) as Message;

  it('counts messages of others below the fold, and draws the unread line where they begin', () => {
    let seen = looked(opened(0, 0), [entry(1)], true);
    expect(newBelow(seen, [entry(1)])).toBe(0);
    const more = [entry(1), entry(2), entry(3, true), entry(4)];
    seen = looked(seen, more, false);
    expect(newBelow(seen, more)).toBe(2);
    expect(seen.lineAfter).toBe(1);
  });

  it('keeps the unread line while reading on, until the reader answers', () => {
    const entries = [entry(1), entry(2)];
    let seen = looked(opened(1, 1), entries, true);
    expect(seen.lineAfter).toBe(1);
    expect(newBelow(seen, entries)).toBe(0);
    seen = answered(seen);
    expect(seen.lineAfter).toBeUndefined();
  });
});

describe('drafts', () => {
  it('live in the storage under the conversation, and in memory where storage is refused', () => {
    const store = new Map<string, string>();
    const storage = {
      getItem: (key: string) => store.get(key) ?? null,
      setItem: (key: string, value: string) => void store.set(key, value),
      removeItem: (key: string) => void store.delete(key),
    };
    new Drafts('a', storage).set('c', 'half a sen');
    expect(new Drafts('a', storage).get('c')).toBe('half a sen');
    expect(new Drafts('b', storage).get('c')).toBe('');
    const refusing = {
      ...storage,
      setItem: () => {
        throw new Error('full');
      },
    };
    const drafts = new Drafts('a', refusing);
    drafts.set('d', 'kept');
    expect(drafts.get('d')).toBe('kept');
  });
});

describe('initials', () => {
  it('take whole characters of the first and the last word', () => {
    expect(initials('Ana María Ruiz')).toBe('AR');
    expect(initials('李雷')).toBe('李');
    expect(initials('👩‍🚀 x')).toBe('👩‍🚀X');
    expect(initials('  ')).toBe('?');
  });
});
