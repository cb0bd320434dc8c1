/**
 * Duet over plain HTTP requests, for networks that let nothing else pass: what goes up is posted, what comes down is streamed as
 * server-sent events or polled. The same frames, lanes in wrappers, signals on lane 0. See "SSE and long polling in bytes" in
 * docs/protocol.md.
 *
 * The carrier stands when the server has shown that it is one; its first frame, the hello, then opens it there.
 */
import type { CarrierInfo } from '../machine/effect';
import { encodeCommand } from '../protocol/command';
import { FrameDecoder, framed, unwrapped, wrapped } from '../protocol/frame';
import { type Carrier, type CarrierEvents, CLOSE_CODE, type Dial, FLUSH_MS } from './carrier';
import { Downlink } from './downlink';
import { ask, CarrierEnded, NoAnswer, probe } from './http-requests';
import { Uplink } from './uplink';

/** Above this many bytes that wait to be posted, signals are dropped. */
const JAM_BYTES = 64 * 1024;
/** How long the server may take to open a carrier, milliseconds. */
const OPEN_WITHIN_MS = 10_000;

/** Makes a dialler for streams, or for polls alone. */
export function httpDial(transport: 'sse' | 'poll'): Dial {
  return async ({ http }, events, signal) => {
    if (http === undefined || typeof fetch === 'undefined')
      throw new Error('plain HTTP is not to be used here');
    await probe(http, signal);
    return new HttpCarrier(http, transport, events);
  };
}

class HttpCarrier implements Carrier {
  readonly info: CarrierInfo;
  readonly #base: string;
  readonly #events: CarrierEvents;
  readonly #stop = new AbortController();
  readonly #up: Uplink;
  readonly #down: Downlink;
  #key: string | undefined;
  #over = false;

  constructor(base: string, transport: 'sse' | 'poll', events: CarrierEvents) {
    this.#base = base;
    this.#events = events;
    this.info = { transport, datagrams: false, better: false };
    const { signal } = this.#stop;
    const ended = (error: unknown): void => {
      this.#ended(error);
    };
    this.#up = new Uplink((chunk, stop) => this.#post(chunk, stop), ended, signal);
    this.#down = new Downlink(
      {
        fetch: (path, ack, stop) =>
          ask(base, { method: 'GET', path, headers: this.#headers(ack), signal: stop }),
        batch: bytes => {
          this.#batch(bytes);
        },
        acknowledge: () => {
          this.#up.acknowledge();
        },
        ended,
        polls: () => {
          this.info.transport = 'poll';
        },
      },
      transport === 'poll',
      signal,
    );
  }

  openLane(): void {
    // A wrapped lane begins with its first frame.
  }

  finishLane(lane: number): void {
    this.send(lane, encodeCommand({ type: 'Close', body: {} }));
  }

  send(lane: number, inner: Uint8Array): void {
    if (!this.#over) this.#up.send(lane === 0 ? framed(inner) : wrapped(lane, inner));
  }

  signal(inner: Uint8Array): void {
    if (this.#up.waiting < JAM_BYTES) this.send(0, inner);
  }

  async close(code: number, _reason: string, now = false): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    if (!now) await Promise.race([this.#up.flushed(), new Promise(resolve => setTimeout(resolve, FLUSH_MS))]);
    const rest = this.#up.takeRest();
    this.#stop.abort();
    if (this.#key === undefined) return;
    const headers = {
      ...this.#headers(this.#down.seen),
      'Duet-Close': String(code === 0 ? CLOSE_CODE : code),
    };
    const last = rest === undefined ? headers : { ...headers, 'Duet-Seq': String(rest.seq) };
    const body = rest === undefined ? {} : { body: rest.body };
    const signal = AbortSignal.timeout(OPEN_WITHIN_MS);
    // Outlives the page; whether it arrives is the server's to find out by silence otherwise.
    ask(this.#base, { method: 'POST', path: 'send', headers: last, ...body, signal, keepalive: true }).catch(
      () => undefined,
    );
  }

  async #post(
    chunk: { readonly seq: number; readonly body: Uint8Array } | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    if (this.#key === undefined) {
      await this.#open(chunk?.body, signal);
      return;
    }
    const headers = this.#headers(this.#down.seen);
    this.#down.acknowledged();
    await ask(this.#base, {
      method: 'POST',
      path: 'send',
      headers: chunk === undefined ? headers : { ...headers, 'Duet-Seq': String(chunk.seq - 1) },
      ...(chunk === undefined ? {} : { body: chunk.body }),
      signal,
    });
  }

  async #open(body: Uint8Array | undefined, signal: AbortSignal): Promise<void> {
    if (body === undefined) return;
    const path = this.info.transport === 'poll' ? 'poll' : 'sse';
    try {
      const answer = await ask(this.#base, { method: 'POST', path, body, signal });
      this.#key = await answer.text();
    } catch (error) {
      // Not twice: the hello may have arrived, and what becomes of it is for the client's machine to decide.
      throw error instanceof NoAnswer ? new CarrierEnded(0, error.message) : error;
    }
    void this.#down.run();
  }

  #headers(ack: number): Record<string, string> {
    return { 'Duet-Carrier': this.#key ?? '', 'Duet-Ack': String(ack) };
  }

  #batch(bytes: Uint8Array): void {
    const decoder = new FrameDecoder();
    const frames = decoder.push(bytes);
    if (decoder.pendingBytes > 0) throw new TypeError('a frame is split over two batches');
    for (const outer of frames) {
      if (this.#over) return;
      const { lane, frame } = unwrapped(outer);
      this.#events.frame(lane, frame);
    }
  }

  #ended(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#stop.abort();
    const reason = error instanceof Error ? error.message : 'the carrier broke';
    this.#events.down(error instanceof CarrierEnded ? error.code : 0, reason);
  }
}
