/** Laws of what a page tells the client: whether somebody is there decides how soon a silent server is noticed. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type PageEvents, watchPage } from '../src/host/page';

describe('a page', () => {
  let page: EventTarget & { visibilityState: DocumentVisibilityState };
  let told: string[];
  const events: PageEvents = {
    moved: () => told.push('moved'),
    shaken: () => told.push('shaken'),
    online: online => told.push(online ? 'online' : 'offline'),
    hidden: hidden => told.push(hidden ? 'hidden' : 'shown'),
    idle: idle => told.push(idle ? 'idle' : 'there'),
    leaving: () => told.push('leaving'),
    back: () => told.push('back'),
  };
  const show = (state: DocumentVisibilityState): void => {
    page.visibilityState = state;
    page.dispatchEvent(new Event('visibilitychange'));
  };

  beforeEach(() => {
    vi.useFakeTimers();
    told = [];
    page = Object.assign(new EventTarget(), { visibilityState: 'visible' as const });
    vi.stubGlobal('document', page);
    vi.stubGlobal('window', new EventTarget());
    vi.stubGlobal('navigator', {});
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  it('says from the start that somebody is there, and once when they have left it alone', () => {
    const stop = watchPage(events);
    expect(told).toEqual(['there']);
    vi.advanceTimersByTime(1_000_000);
    expect(told).toEqual(['there', 'idle']);
    window.dispatchEvent(new Event('keydown'));
    expect(told).toEqual(['there', 'idle', 'there']);
    stop();
  });

  it('has nobody before it while it is hidden', () => {
    const stop = watchPage(events);
    show('hidden');
    show('visible');
    expect(told).toEqual(['there', 'hidden', 'idle', 'shown', 'there']);
    stop();
    page.visibilityState = 'hidden';
    told = [];
    watchPage(events)();
    expect(told.at(-1)).toBe('idle');
  });

  it('tells another network from another speed of the same one', () => {
    const connection = Object.assign(new EventTarget(), { type: 'wifi' });
    vi.stubGlobal('navigator', { onLine: true, connection });
    const change = (type: string): void => {
      connection.type = type;
      connection.dispatchEvent(new Event('change'));
    };
    const stop = watchPage(events);
    told = [];
    change('wifi');
    change('cellular');
    change('none');
    window.dispatchEvent(new Event('offline'));
    window.dispatchEvent(new Event('online'));
    expect(told).toEqual(['shaken', 'moved', 'offline', 'online', 'moved']);
    stop();
  });

  it('says nothing more when nobody listens', () => {
    watchPage(events)();
    told = [];
    show('hidden');
    window.dispatchEvent(new Event('online'));
    vi.advanceTimersByTime(1_000_000);
    expect(told).toEqual([]);
  });
});
