/** Laws of the whole client in a browser: reloads, tabs, the chat, callbacks. */
import { describe, expect, it, vi } from 'vitest';
import manifest from '../package.json';
import { Emitter } from '../src/emitter';
import { DuetError } from '../src/errors';
import { CONVERSATION } from './fake-server';
import { Browser, copyOf } from './page';

/** Waits until `check` holds, for at most three seconds. */
function until(check: () => void): Promise<void> {
  return vi.waitFor(check, { timeout: 3_000, interval: 5 });
}

describe('a client', () => {
  it('chats', async () => {
    const browser = new Browser();
    const { client } = browser.page();
    const told: string[] = [];
    client.on('message.created', ({ message }) => told.push(message.text));
    const conversation = client.conversation(CONVERSATION);
    client.connect();
    await conversation.subscribe();
    const sent = conversation.send('hello');
    expect(sent.status).toBe('queued');
    expect((await sent.accepted()).seq).toBe(1);
    browser.server.say('ben', 'hi');
    await until(() => {
      expect(told).toEqual(['hello', 'hi']);
    });
    expect(conversation.messages.map(({ text, own }) => [text, own])).toEqual([
      ['hello', true],
      ['hi', false],
    ]);
    expect(conversation.unread).toBe(1);
    conversation.markRead();
    expect(conversation.unread).toBe(0);
    expect(client.info).toMatchObject({ transport: 'websocket', epoch: 3, node: 'node-a' });
    await client.close();
    expect(client.state).toBe('closed');
  });

  it('rejects what was refused with a typed error', async () => {
    const browser = new Browser();
    browser.server.judge = () => ({ code: 1120, retryAfterMs: 0 });
    const { client } = browser.page();
    await client.ready();
    const sent = client.conversation(CONVERSATION).send('late');
    await expect(sent.accepted()).rejects.toMatchObject({ name: 'conversation_closed', retryable: false });
    expect(sent.status).toBe('failed');
    await client.close();
  });

  it('keeps a message over a reload in the same tick as the send', async () => {
    const browser = new Browser();
    const first = browser.page();
    await first.client.ready();
    browser.online = false;
    browser.drop();
    const { id } = first.client.conversation(CONVERSATION).send('precious');
    browser.kill(first);
    browser.online = true;
    const second = browser.page(first.tab);
    second.client.connect();
    await second.client.conversation(CONVERSATION).subscribe();
    await until(() => {
      expect(browser.server.texts()).toEqual(['precious']);
    });
    await until(() => {
      expect(second.client.conversation(CONVERSATION).message(id)?.status).toBe('accepted');
    });
    await second.client.close();
  });

  it('keeps a message over a reload where there is no database', async () => {
    const browser = new Browser();
    // As in private windows of some browsers.
    Reflect.deleteProperty(globalThis, 'indexedDB');
    const first = browser.page();
    await first.client.ready();
    browser.online = false;
    browser.drop();
    first.client.conversation(CONVERSATION).send('noted');
    browser.kill(first);
    browser.online = true;
    const second = browser.page(first.tab);
    await second.client.ready();
    await until(() => {
      expect(browser.server.texts()).toEqual(['noted']);
      expect(second.tab.keys().filter(key => key.startsWith('note:'))).toEqual([]);
    });
    await second.client.close();
  });

  it('says which version it is', async () => {
    const browser = new Browser();
    const { client } = browser.page();
    await client.ready();
    expect(browser.server.of('Hello')[0]?.sdk).toBe(`duet-js/${manifest.version}`);
    await client.close();
  });

  it('goes on with its session after a reload, but a copied tab gets one of its own', async () => {
    const browser = new Browser();
    const first = browser.page();
    await first.client.ready();
    const session = first.client.info.session;
    const copy = browser.page(copyOf(first.tab));
    await copy.client.ready();
    expect(copy.client.info.session).not.toBe(session);
    await copy.client.close();
    browser.kill(first);
    const again = browser.page(first.tab);
    await again.client.ready();
    expect(again.client.info.session).toBe(session);
    await again.client.close();
  });

  it('takes up what a closed tab has left, and leaves alone what a living one is at', async () => {
    const browser = new Browser();
    const [first, second] = [browser.page(), browser.page()];
    await Promise.all([first.client.ready(), second.client.ready()]);
    browser.server.judge = () => ({ code: 1111, retryAfterMs: 60_000 });
    second.client.conversation(CONVERSATION).send('left behind');
    await until(() => {
      expect(browser.server.of('Publish').length).toBe(1);
    });
    browser.server.judge = () => 'accept';
    browser.drop();
    await Promise.all([first.client.ready(), second.client.ready()]);
    await until(() => {
      expect(browser.server.texts()).toEqual(['left behind']);
    });
    expect(new Set(browser.server.of('Publish').map(({ id }) => id)).size).toBe(1);
    browser.online = false;
    browser.drop();
    second.client.conversation(CONVERSATION).send('orphan');
    browser.kill(second);
    // What was only noted in the tab's own storage dies with the tab; give the database its moment.
    await until(() => {
      expect(second.tab.keys().filter(key => key.startsWith('note:'))).toEqual([]);
    });
    browser.online = true;
    await first.client.ready();
    await until(() => {
      expect(browser.server.texts()).toEqual(['left behind', 'orphan']);
    });
    await first.client.close();
  });

  it('starts one chat however often it is asked, before and after a reload', async () => {
    const browser = new Browser();
    const first = browser.page();
    const [one, two] = await Promise.all([
      first.client.chat.start({ subject: 'Bill' }),
      first.client.chat.start(),
    ]);
    expect(one.id).toBe(two.id);
    browser.kill(first);
    const second = browser.page(first.tab);
    const three = await second.client.chat.start();
    expect(three.id).toBe(one.id);
    await second.client.chat.end();
    expect((await second.client.chat.start()).id).not.toBe(one.id);
    expect(browser.server.of('SetStatus').map(({ status }) => status)).toEqual(['resolved']);
    await second.client.close();
  });
});

describe('an application that keeps messages itself', () => {
  it('goes on behind its own position after a kill, and a mistaken copy is discarded', async () => {
    const browser = new Browser();
    for (const text of ['one', 'two', 'three']) browser.server.say('ben', text);
    const kept = { epoch: browser.server.epoch, seq: 2 };
    const { client } = browser.page(undefined, { getState: () => Promise.resolve(kept) });
    const gone: string[] = [];
    client.on('discontinuity', ({ conversation }) => gone.push(conversation ?? 'all'));
    const conversation = client.conversation(CONVERSATION);
    client.connect();
    await conversation.subscribe();
    expect(conversation.messages.map(({ text }) => text)).toEqual(['three']);
    expect(gone).toEqual([]);
    conversation.unsubscribe();
    kept.seq = 99;
    await conversation.subscribe();
    expect(conversation.messages.map(({ text }) => text)).toEqual(['one', 'two', 'three']);
    expect(gone).toEqual([CONVERSATION]);
    await client.close();
  });

  it('is not asked when it says where to begin, hears why it failed, and may change its mind', async () => {
    const browser = new Browser();
    browser.server.say('ben', 'one');
    const getState = vi.fn(() => {
      throw new Error('the disk is on fire');
    });
    const { client } = browser.page(undefined, { getState });
    await client.ready();
    const conversation = client.conversation(CONVERSATION);
    await conversation.subscribe({ latest: 10 });
    expect(getState).not.toHaveBeenCalled();
    conversation.unsubscribe();
    await expect(conversation.subscribe()).rejects.toMatchObject({
      code: 1142,
      message: 'getState failed: the disk is on fire',
    });
    const leaving = conversation.subscribe();
    conversation.unsubscribe();
    await expect(leaving).rejects.toBeInstanceOf(DuetError);
    expect(conversation.subscription).toBe('unsubscribed');
    await client.close();
  });
});

describe('callbacks', () => {
  it('run in order, one at a time, outside of the call that caused them', async () => {
    const emitter = new Emitter<{ a: number; b: number }>();
    const seen: string[] = [];
    let inside = false;
    emitter.on('a', value => {
      expect(inside).toBe(false);
      inside = true;
      if (value < 3) emitter.emit('b', value);
      if (value < 3) emitter.emit('a', value + 10);
      seen.push(`a${value}`);
      inside = false;
    });
    emitter.on('b', value => seen.push(`b${value}`));
    emitter.emit('a', 1);
    expect(seen).toEqual([]);
    const stop = emitter.once('b', () => seen.push('once'));
    await Promise.resolve();
    stop();
    expect(seen).toEqual(['a1', 'b1', 'once', 'a11']);
  });

  it('that throw do not stop the others', async () => {
    const emitter = new Emitter<{ a: number }>();
    const uncaught: unknown[] = [];
    const timer = vi.spyOn(globalThis, 'setTimeout').mockImplementation(work => {
      try {
        (work as () => void)();
      } catch (error) {
        uncaught.push(error);
      }
      return 0;
    });
    const seen: number[] = [];
    emitter.on('a', () => {
      throw new Error('mine');
    });
    emitter.on('a', value => seen.push(value));
    emitter.emit('a', 1);
    emitter.emit('a', 2);
    await Promise.resolve();
    timer.mockRestore();
    expect(seen).toEqual([1, 2]);
    expect(uncaught.length).toBe(2);
  });
});
