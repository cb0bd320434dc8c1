/** Laws of choosing a carrier. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Transport } from '../src/api';
import { carrierMemory } from '../src/host/carrier-memory';
import { hashBytes, isWebKit } from '../src/host/dial';
import { memoryArea } from '../src/host/storage';
import type { Carrier, CarrierEvents, Dial } from '../src/link/carrier';
import { race, type RaceOptions } from '../src/link/race';
import { resolve } from '../src/machine/endpoints';
import type { CarrierInfo } from '../src/machine/effect';

const ADDRESS = resolve('https://a.example:4433');
const down = vi.fn();
const EVENTS: CarrierEvents = { frame: vi.fn(), laneDown: vi.fn(), down };

/** A dialler that stands or fails after a while. */
function dialler(transport: CarrierInfo['transport'], afterMs: number, fails = false) {
  const log = { dialled: 0, aborted: 0, closed: 0, events: undefined as CarrierEvents | undefined };
  const dial: Dial = (_, events, signal) => {
    log.dialled += 1;
    log.events = events;
    return new Promise((done, failed) => {
      signal.addEventListener('abort', () => {
        log.aborted += 1;
        failed(new Error('aborted'));
      });
      const close = (): Promise<void> => {
        log.closed += 1;
        return Promise.resolve();
      };
      const carrier = { info: { transport, datagrams: false, better: false }, close } as unknown as Carrier;
      setTimeout(() => {
        if (fails) failed(new Error('no'));
        else done(carrier);
      }, afterMs);
    });
  };
  return { dial, log };
}

type Dials = Partial<Record<Transport, Dial>>;

/** Raced are those that are given; what hung is remembered for ten minutes. */
function options(dials: Dials, transports = Object.keys(dials) as Transport[]): RaceOptions {
  const none: Dial = () => Promise.reject(new Error('none'));
  return {
    dials: { webtransport: none, websocket: none, sse: none, poll: none, ...dials },
    transports,
    memory: carrierMemory(memoryArea(), () => Date.now()),
  };
}

async function run(made: RaceOptions, above?: Transport): Promise<string> {
  const result = race(made)(ADDRESS, EVENTS, new AbortController().signal, above).then(
    carrier => carrier.info.transport,
    () => 'nothing',
  );
  await vi.advanceTimersByTimeAsync(20_000);
  return result;
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('the race', () => {
  it('is WebTransport’s when it stands within half a second, and WebSocket is not even tried', async () => {
    const [transport, socket] = [dialler('webtransport', 400), dialler('websocket', 1)];
    expect(await run(options({ webtransport: transport.dial, websocket: socket.dial }))).toBe('webtransport');
    expect(socket.log.dialled).toBe(0);
  });

  it('is WebSocket’s when WebTransport hangs, which is remembered for ten minutes, then probed again', async () => {
    const [transport, socket] = [dialler('webtransport', 60_000), dialler('websocket', 50)];
    const made = options({ webtransport: transport.dial, websocket: socket.dial });
    expect(await run(made)).toBe('websocket');
    expect(transport.log.aborted).toBe(1);
    expect(await run(made)).toBe('websocket');
    expect(transport.log.dialled).toBe(1);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(await run(made)).toBe('websocket');
    expect(transport.log.dialled).toBe(2);
  });

  it('goes to WebSocket at once when WebTransport fails at once, and tries again the next time', async () => {
    const [transport, socket] = [dialler('webtransport', 10, true), dialler('websocket', 10)];
    const made = options({ webtransport: transport.dial, websocket: socket.dial });
    const result = race(made)(ADDRESS, EVENTS, new AbortController().signal);
    await vi.advanceTimersByTimeAsync(25);
    expect((await result).info.transport).toBe('websocket');
    await run(made);
    expect(transport.log.dialled).toBe(2);
  });

  it('does not hold it against WebTransport that it was slow once', async () => {
    const [transport, socket] = [dialler('webtransport', 2_000), dialler('websocket', 10)];
    const made = options({ webtransport: transport.dial, websocket: socket.dial });
    expect(await run(made)).toBe('websocket');
    expect(transport.log.closed).toBe(1);
    await run(made);
    expect(transport.log.dialled).toBe(2);
  });

  it('is WebTransport’s when WebSocket fails, if it is not too slow', async () => {
    const slow = options({
      webtransport: dialler('webtransport', 3_000).dial,
      websocket: dialler('websocket', 10, true).dial,
    });
    expect(await run(slow)).toBe('webtransport');
    const slower = options({
      webtransport: dialler('webtransport', 15_000).dial,
      websocket: dialler('websocket', 10, true).dial,
    });
    expect(await run(slower)).toBe('nothing');
  });

  it('has one winner; the loser is ended and its events are nobody’s', async () => {
    const [transport, socket] = [dialler('webtransport', 600), dialler('websocket', 300)];
    expect(await run(options({ webtransport: transport.dial, websocket: socket.dial }))).toBe('webtransport');
    expect(socket.log.aborted).toBe(1);
    socket.log.events?.down(0, 'late');
    expect(down).not.toHaveBeenCalled();
  });

  it('goes on behind WebSocket: streams where upgrades hang, at once where everything better fails', async () => {
    const [transport, socket] = [dialler('webtransport', 60_000), dialler('websocket', 60_000)];
    const sse = dialler('sse', 20);
    const made = options({ webtransport: transport.dial, websocket: socket.dial, sse: sse.dial });
    expect(await run(made)).toBe('sse');
    expect([transport.log.aborted, socket.log.aborted]).toEqual([1, 1]);
    // What hung comes last the next time, and streams at once.
    const next = race(made)(ADDRESS, EVENTS, new AbortController().signal);
    await vi.advanceTimersByTimeAsync(25);
    expect((await next).info.transport).toBe('sse');
    expect(transport.log.dialled).toBe(1);

    const failing = [dialler('webtransport', 10, true), dialler('websocket', 10, true)] as const;
    const rest = { webtransport: failing[0].dial, websocket: failing[1].dial, sse: dialler('sse', 10).dial };
    const result = race(options(rest))(ADDRESS, EVENTS, new AbortController().signal);
    await vi.advanceTimersByTimeAsync(40);
    expect((await result).info.transport).toBe('sse');
  });

  it('tries what hung lately all the same when nothing else stands', async () => {
    const log = { transport: dialler('webtransport', 60_000), socket: dialler('websocket', 10) };
    const made = options({ webtransport: log.transport.dial, websocket: log.socket.dial });
    expect(await run(made)).toBe('websocket');
    const swapped = { ...made.dials, webtransport: dialler('webtransport', 10).dial };
    const changed = { ...made, dials: { ...swapped, websocket: dialler('websocket', 10, true).dial } };
    expect(await run(changed)).toBe('webtransport');
  });

  it('leaves long polling to streams, which know when to fall back, unless it alone is wanted', async () => {
    const [sse, poll] = [dialler('sse', 10), dialler('poll', 1)];
    const dials = { sse: sse.dial, poll: poll.dial };
    expect(await run(options(dials))).toBe('sse');
    expect(poll.log.dialled).toBe(0);
    expect(await run(options(dials, ['poll']))).toBe('poll');
  });

  it('takes only what is wanted and there', async () => {
    const dials = {
      webtransport: dialler('webtransport', 10).dial,
      websocket: dialler('websocket', 10).dial,
    };
    for (const only of ['webtransport', 'websocket'] as const) {
      expect(await run(options(dials, [only]))).toBe(only);
    }
    expect(await run(options(dials, ['sse']))).toBe('nothing');
    expect(await run(options(dials, []))).toBe('nothing');
  });

  it('says whether something better may be had, and looks for just that', async () => {
    const [transport, socket] = [dialler('webtransport', 60_000), dialler('websocket', 10)];
    const made = options({
      webtransport: transport.dial,
      websocket: socket.dial,
      sse: dialler('sse', 1).dial,
    });
    const start = race(made)(ADDRESS, EVENTS, new AbortController().signal);
    await vi.advanceTimersByTimeAsync(5_000);
    expect((await start).info).toMatchObject({ transport: 'websocket', better: true });
    const stop = new AbortController();
    const probe = race(made)(ADDRESS, EVENTS, stop.signal, 'websocket').catch(() => 'nothing');
    await vi.advanceTimersByTimeAsync(4_000);
    expect([transport.log.dialled, socket.log.dialled]).toEqual([2, 1]);
    stop.abort();
    expect(await probe).toBe('nothing');

    const found = { ...made, dials: { ...made.dials, webtransport: dialler('webtransport', 10).dial } };
    const better = race(found)(ADDRESS, EVENTS, new AbortController().signal, 'sse');
    await vi.advanceTimersByTimeAsync(50);
    expect((await better).info).toMatchObject({ transport: 'webtransport', better: false });
    expect(await run(options({ sse: dialler('sse', 1).dial, poll: dialler('poll', 1).dial }), 'poll')).toBe(
      'nothing',
    );
  });

  it('ends with nothing when it is not wanted any more', async () => {
    const [transport, socket] = [dialler('webtransport', 60_000), dialler('websocket', 60_000)];
    const stop = new AbortController();
    const result = race(options({ webtransport: transport.dial, websocket: socket.dial }))(
      ADDRESS,
      EVENTS,
      stop.signal,
    );
    const outcome = expect(result).rejects.toThrow('not wanted');
    await vi.advanceTimersByTimeAsync(1_000);
    stop.abort();
    await outcome;
    expect([transport.log.aborted, socket.log.aborted]).toEqual([1, 1]);
  });
});

describe('addresses', () => {
  it('are read in every form, and nonsense is refused', () => {
    expect(resolve('chat.example:4433')).toEqual({
      url: 'https://chat.example:4433',
      webTransport: 'https://chat.example:4433/duet/v1',
      webSocket: 'wss://chat.example:4433/duet/v1/ws',
      http: 'https://chat.example:4433/duet/v1',
    });
    const dev = resolve({ url: 'https://localhost:4433', webSocket: 'ws://localhost:8080/duet/v1/ws' });
    expect(dev.webSocket).toBe('ws://localhost:8080/duet/v1/ws');
    expect(resolve('http://localhost:8080').webTransport).toBeUndefined();
    expect(resolve({ url: 'a.example', webSocket: false, webTransport: false, http: false })).toMatchObject({
      http: undefined,
      webSocket: undefined,
      webTransport: undefined,
    });
    expect(() => resolve('ftp://a.example')).toThrow(TypeError);
  });

  it('come with certificate hashes in three forms', () => {
    const bytes = Uint8Array.from({ length: 32 }, (_, i) => i * 8);
    const hex = Array.from(bytes, byte => byte.toString(16).padStart(2, '0'));
    expect(hashBytes(bytes)).toEqual(bytes);
    expect(hashBytes(hex.join(''))).toEqual(bytes);
    expect(hashBytes(hex.join(':').toUpperCase())).toEqual(bytes);
    expect(hashBytes(btoa(String.fromCharCode(...bytes)))).toEqual(bytes);
    expect(() => hashBytes('abcd')).toThrow(TypeError);
  });

  it('are reached by the engine that the browser has', () => {
    const safari =
      'Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.4 Safari/605.1.15';
    const chromeOnIos =
      'Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile Safari/604.1';
    const chrome = 'Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36';
    const firefox = 'Mozilla/5.0 (X11; rv:153.0) Gecko/20100101 Firefox/153.0';
    expect([safari, chromeOnIos, chrome, firefox].map(isWebKit)).toEqual([true, true, false, false]);
  });
});
