/** Laws of the carrier that is made of HTTP requests: whatever is lost, cut, doubled or held back, frames pass once and in order. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Transport } from '../src/api';
import { Client } from '../src/client';
import { EventStream, type StreamItem } from '../src/link/event-stream';
import { FakeHttp, type Fate } from './fake-http';
import { CONVERSATION, tokenFor } from './fake-server';
import { random } from './rig';

let http: FakeHttp;
let clients: Client[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  http = new FakeHttp();
  clients = [];
  vi.stubGlobal('fetch', http.fetch);
});
afterEach(async () => {
  for (const client of clients) void client.close();
  await vi.advanceTimersByTimeAsync(1_000);
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

function client(transports: readonly Transport[] = ['sse', 'poll']): Client {
  const options = { getToken: () => tokenFor('ann'), transports, persist: false };
  const made = new Client('http://a.example', options);
  clients.push(made);
  return made;
}

async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

async function showing(transports?: readonly Transport[]): Promise<Client> {
  const made = client(transports);
  made.connect();
  void made.conversation(CONVERSATION).subscribe();
  await pass(2_000);
  return made;
}

function texts(made: Client): string[] {
  return made.conversation(CONVERSATION).messages.map(({ text }) => text);
}

describe.each([['sse'], ['poll']] as const)('over %s', transport => {
  it('a chat goes both ways, and typing with it', async () => {
    const made = await showing([transport]);
    expect(made.info.transport).toBe(transport);
    const sent = made.conversation(CONVERSATION).send('up');
    http.server.say('ben', 'down');
    await pass(500);
    expect(sent.status).toBe('accepted');
    expect(texts(made)).toEqual(http.server.texts());
    expect(texts(made).toSorted()).toEqual(['down', 'up']);
  });

  it('nothing is lost, doubled or reordered by a network that loses requests, answers and streams', async () => {
    for (let seed = 1; seed <= 6; seed++) {
      http = new FakeHttp();
      vi.stubGlobal('fetch', http.fetch);
      const unit = random(seed);
      const fates: Fate[] = ['lost', 'unanswered', 'gateway'];
      const made = await showing([transport]);
      http.fate = () => (unit() < 0.2 ? fates[Math.floor(unit() * 3)]! : 'passes');
      http.eventsPerStream = 7;
      const conversation = made.conversation(CONVERSATION);
      for (let i = 1; i <= 60; i++) {
        if (unit() < 0.5) conversation.send(`ann ${i}`);
        else http.server.say('ben', `ben ${i}`);
        await pass(Math.floor(unit() * 300));
      }
      http.fate = () => 'passes';
      await pass(60_000);
      expect(texts(made), `seed ${seed}`).toEqual(http.server.texts());
      expect(http.server.texts().length, `seed ${seed}`).toBe(60);
      expect(made.state).toBe('connected');
      await made.close();
    }
  });

  it('more than what may wait unacknowledged comes down', async () => {
    const made = await showing([transport]);
    const long = 'x'.repeat(12_000);
    for (let i = 0; i < 30; i++) http.server.say('ben', `${i} ${long}`);
    await pass(10_000);
    expect(texts(made).map(text => text.split(' ')[0])).toEqual(
      Array.from({ length: 30 }, (_, i) => String(i)),
    );
  });

  it('a node that does not know the carrier is no end: the session is resumed on another one', async () => {
    const made = await showing([transport]);
    const { session } = made.info;
    http.forget();
    http.server.say('ben', 'meanwhile');
    await pass(40_000);
    expect(made.state).toBe('connected');
    expect(made.info.session).toBe(session);
    expect(texts(made)).toEqual(['meanwhile']);
  });

  it('a goodbye is said, and nothing after it', async () => {
    const made = await showing([transport]);
    await Promise.all([made.close(), pass(2_000)]);
    expect(http.server.of('Goodbye').length).toBe(1);
    const last = http.requests.filter(({ path }) => path === 'send').at(-1);
    expect(last?.headers.get('Duet-Close')).toBe('6');
    const before = http.requests.length;
    await pass(120_000);
    expect(http.requests.length).toBe(before);
  });
});

describe('streams that are held back', () => {
  it('become polls on the same carrier, and the hello is said once', async () => {
    http.holdsStreams = true;
    const made = await showing();
    await pass(5_000);
    expect(made.info.transport).toBe('poll');
    expect(http.server.of('Hello').length).toBe(1);
    http.server.say('ben', 'through the proxy');
    await pass(500);
    expect(texts(made)).toEqual(['through the proxy']);
  });

  it('are not taken for it when a stream has stood before', async () => {
    const made = await showing();
    http.holdsStreams = true;
    http.eventsPerStream = 1;
    http.server.say('ben', 'the last before silence');
    await pass(10_000);
    http.holdsStreams = false;
    http.eventsPerStream = Infinity;
    await pass(60_000);
    expect(made.info.transport).toBe('sse');
    expect(texts(made)).toEqual(['the last before silence']);
  });
});

describe('what goes up', () => {
  it('is one request at a time, and what waits goes together', async () => {
    const made = await showing(['sse']);
    const before = http.count('POST', 'send');
    for (let i = 0; i < 100; i++) {
      made.conversation(CONVERSATION).typing.keystroke();
      made.presence.watch([`user-${i}`]).catch(() => undefined);
    }
    await pass(1_000);
    expect(http.server.of('WatchPresence').length).toBe(100);
    expect(http.count('POST', 'send') - before).toBeLessThan(20);
  });
});

describe('an event stream', () => {
  const read = (...parts: string[]): StreamItem[] => {
    const stream = new EventStream();
    return parts.flatMap(part => stream.push(new TextEncoder().encode(part)));
  };
  const event = (data: string, id = '', name = 'message'): StreamItem => ({ type: 'event', name, id, data });

  it('is read by the rules of server-sent events, wherever it is cut', () => {
    const text =
      ': hello\n\nid: 1\ndata: YQ==\n\nid:2\r\ndata: one\r\ndata:two\r\n\r\nevent: end\ndata: 3001 why\n\nid: 3\n\n';
    const expected = [
      { type: 'comment' },
      event('YQ==', '1'),
      event('one\ntwo', '2'),
      event('3001 why', '2', 'end'),
    ];
    expect(read(text)).toEqual(expected);
    expect(read(...Array.from(text))).toEqual(expected);
  });

  it('has an end to its events', () => {
    expect(() => read(`data: ${'a'.repeat(200_000)}`)).toThrow('no end');
    expect(() => read(`data: a\n`.repeat(20_000))).toThrow('no end');
  });
});
