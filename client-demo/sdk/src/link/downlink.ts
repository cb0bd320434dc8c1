/**
 * What comes down on a carrier made of HTTP requests: numbered batches of whole frames, out of an event stream, or out of one poll
 * after the other. Each batch is taken once, whatever was cut or repeated. Where something holds streams back it polls instead.
 */
import { type StreamItem, EventStream } from './event-stream';
import { CarrierEnded, NoAnswer } from './http-requests';

/** A stream that says nothing at all for so long is held back by something, milliseconds. */
const FIRST_WITHIN_MS = 3_000;
/** A stream that stood and is silent for longer than this is dead: comments come every 15 s, milliseconds. */
const QUIET_MS = 25_000;
/** A poll is answered within 25 s, milliseconds. */
const POLL_WITHIN_MS = 35_000;
/** Bytes, and milliseconds since the first of them, after which a stream's batches are acknowledged. */
const ACK_BYTES = 16_384;
const ACK_AFTER_MS = 4_000;
/** Waits after requests that failed one after the other; after the last one the carrier is given up. */
const AGAIN_AFTER_MS = [0, 250, 1_000, 2_000] as const;

/** How a downlink reaches the server, and what it tells. */
export interface Downpipe {
  /** Fetches what comes down behind `ack`. */
  fetch(path: 'sse' | 'poll', ack: number, signal: AbortSignal): Promise<Response>;
  /** A batch of frames, each number once, in order. */
  batch(bytes: Uint8Array): void;
  /** It would be time to acknowledge. */
  acknowledge(): void;
  /** The carrier is over. */
  ended(error: unknown): void;
  /** Streams are held back here: from now on it polls. */
  polls(): void;
}

/** Fetches until `stop`. */
export class Downlink {
  readonly #pipe: Downpipe;
  readonly #stop: AbortSignal;
  #polling: boolean;
  /** A stream has brought something, so nothing in between holds streams back. */
  #streamed = false;
  #seen = 0;
  #failures = 0;
  #unacknowledged = 0;
  #ackTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(pipe: Downpipe, polling: boolean, stop: AbortSignal) {
    this.#pipe = pipe;
    this.#polling = polling;
    this.#stop = stop;
  }

  /** The highest batch that was taken. */
  get seen(): number {
    return this.#seen;
  }

  /** An acknowledgement of {@link seen} is on its way. */
  acknowledged(): void {
    clearTimeout(this.#ackTimer);
    this.#ackTimer = undefined;
    this.#unacknowledged = 0;
  }

  async run(): Promise<void> {
    try {
      while (!this.#stop.aborted) await this.#once();
    } catch (error) {
      if (!this.#stop.aborted) this.#pipe.ended(error);
    } finally {
      this.acknowledged();
    }
  }

  async #once(): Promise<void> {
    const before = this.#seen;
    try {
      await (this.#polling ? this.#poll() : this.#stream());
      this.#failures = 0;
    } catch (error) {
      if (!(error instanceof NoAnswer) || this.#stop.aborted) throw error;
      if (this.#seen > before) this.#failures = 0;
      const wait = AGAIN_AFTER_MS[this.#failures++];
      if (wait === undefined) throw error;
      await new Promise(resolve => setTimeout(resolve, wait));
    }
  }

  async #poll(): Promise<void> {
    const signal = AbortSignal.any([this.#stop, AbortSignal.timeout(POLL_WITHIN_MS)]);
    this.acknowledged();
    const answer = await this.#pipe.fetch('poll', this.#seen, signal);
    if (answer.status === 204) return;
    const last = Number(answer.headers.get('Duet-Batch') ?? NaN);
    const bytes = await whole(answer);
    if (!Number.isSafeInteger(last)) throw new NoAnswer('a poll without a number');
    if (last > this.#seen) this.#take(last, bytes);
  }

  async #stream(): Promise<void> {
    const watch = new Watch(FIRST_WITHIN_MS);
    try {
      this.acknowledged();
      const signal = AbortSignal.any([this.#stop, watch.signal]);
      const answer = await this.#pipe.fetch('sse', this.#seen, signal);
      if (answer.body === null) throw new NoAnswer('a stream without a body');
      await this.#read(answer.body.getReader(), watch);
    } catch (error) {
      if (!watch.heldBack || this.#streamed || this.#stop.aborted) throw error;
      this.#polling = true;
      this.#pipe.polls();
    } finally {
      watch.end();
    }
  }

  async #read(reader: ReadableStreamDefaultReader<Uint8Array>, watch: Watch): Promise<void> {
    const events = new EventStream();
    for (;;) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        throw new NoAnswer(error instanceof Error ? error.message : 'the stream broke');
      });
      if (done && !watch.stood) throw new NoAnswer('an empty stream');
      if (done) return;
      this.#streamed = true;
      watch.heard();
      for (const item of events.push(value)) this.#item(item);
    }
  }

  #item(item: StreamItem): void {
    if (item.type === 'comment') return;
    if (item.name === 'end') {
      const [, code = '0', reason = ''] = /^(\d+) ?(.*)$/s.exec(item.data) ?? [];
      throw new CarrierEnded(Number(code), reason);
    }
    const number = Number(item.id);
    if (item.name !== 'message' || !Number.isSafeInteger(number) || number <= this.#seen) return;
    const bytes = Uint8Array.from(atob(item.data), char => char.charCodeAt(0));
    this.#take(number, bytes);
    this.#unacknowledged += bytes.length;
    if (this.#unacknowledged >= ACK_BYTES) this.#pipe.acknowledge();
    else
      this.#ackTimer ??= setTimeout(() => {
        this.#pipe.acknowledge();
      }, ACK_AFTER_MS);
  }

  #take(number: number, bytes: Uint8Array): void {
    this.#seen = number;
    this.#pipe.batch(bytes);
  }
}

/** Ends a stream that is silent: soon before its first byte, later when comments fail to come. */
class Watch {
  readonly #abort = new AbortController();
  #timer: ReturnType<typeof setTimeout>;
  #stood = false;

  constructor(firstMs: number) {
    this.#timer = this.#after(firstMs);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** It was ended before its first byte. */
  get heldBack(): boolean {
    return this.#abort.signal.aborted && !this.#stood;
  }

  get stood(): boolean {
    return this.#stood;
  }

  heard(): void {
    this.#stood = true;
    clearTimeout(this.#timer);
    this.#timer = this.#after(QUIET_MS);
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #after(ms: number): ReturnType<typeof setTimeout> {
    return setTimeout(() => {
      this.#abort.abort();
    }, ms);
  }
}

async function whole(answer: Response): Promise<Uint8Array> {
  try {
    return new Uint8Array(await answer.arrayBuffer());
  } catch (error) {
    throw new NoAnswer(error instanceof Error ? error.message : 'the answer was cut');
  }
}
