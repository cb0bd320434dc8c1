/**
 * What goes up on a carrier made of HTTP requests: whole frames in numbered chunks, one of them under way at a time, sent again under
 * the same number until it is answered. An acknowledgement of what came down travels with every chunk, or alone.
 */
import { CarrierEnded } from './http-requests';

/** Longest chunk; longer queues leave in several. */
const CHUNK_BYTES_MAX = 131_072;
/** How long a chunk may be without an answer before it is sent again, milliseconds. */
const ANSWER_WITHIN_MS = 10_000;
/** Waits before the next tries; after the last one the carrier is given up. */
const AGAIN_AFTER_MS = [100, 500, 2_000] as const;

/** Sends one chunk (`undefined`: only acknowledges); rejects with what the server or the network says. */
export type Post = (
  chunk: { readonly seq: number; readonly body: Uint8Array } | undefined,
  signal: AbortSignal,
) => Promise<void>;

/** The queue of a carrier, and its one request under way. */
export class Uplink {
  readonly #post: Post;
  readonly #ended: (error: unknown) => void;
  readonly #stop: AbortSignal;
  #queue: Uint8Array[] = [];
  #bytes = 0;
  #seq = 0;
  #ack = false;
  #running: Promise<void> | undefined;

  /** `ended` hears once why the carrier is over; nothing is sent after `stop`. */
  constructor(post: Post, ended: (error: unknown) => void, stop: AbortSignal) {
    this.#post = post;
    this.#ended = ended;
    this.#stop = stop;
  }

  /** Bytes that wait. Bounded by those who send: the outbox and the requests of the client, and signals give way. */
  get waiting(): number {
    return this.#bytes;
  }

  send(frame: Uint8Array): void {
    this.#queue.push(frame);
    this.#bytes += frame.length;
    this.#run();
  }

  /** Says soon how much has come down. */
  acknowledge(): void {
    this.#ack = true;
    this.#run();
  }

  /** Resolves when everything has left, or never will. */
  async flushed(): Promise<void> {
    await this.#running;
  }

  /** What waits and is not under way, for a last word. */
  takeRest(): { readonly seq: number; readonly body: Uint8Array } | undefined {
    return this.#running === undefined ? this.#take() : undefined;
  }

  #run(): void {
    this.#running ??= this.#work().then(
      () => {
        this.#running = undefined;
        if (this.#queue.length > 0 || this.#ack) this.#run();
      },
      (error: unknown) => {
        this.#running = undefined;
        this.#queue = [];
        this.#bytes = 0;
        this.#ack = false;
        this.#ended(error);
      },
    );
  }

  async #work(): Promise<void> {
    // Whatever else is sent in this turn of the page goes along.
    await Promise.resolve();
    while ((this.#queue.length > 0 || this.#ack) && !this.#stop.aborted) {
      this.#ack = false;
      await this.#insist(this.#take());
    }
  }

  async #insist(chunk: { readonly seq: number; readonly body: Uint8Array } | undefined): Promise<void> {
    for (let tries = 0; ; tries++) {
      try {
        const signal = AbortSignal.any([this.#stop, AbortSignal.timeout(ANSWER_WITHIN_MS)]);
        await this.#post(chunk, signal);
        return;
      } catch (error) {
        const wait = AGAIN_AFTER_MS[tries];
        if (error instanceof CarrierEnded || this.#stop.aborted || wait === undefined) throw error;
        await new Promise(resolve => setTimeout(resolve, wait));
      }
    }
  }

  #take(): { readonly seq: number; readonly body: Uint8Array } | undefined {
    let count = 0;
    let bytes = 0;
    for (const frame of this.#queue) {
      if (count > 0 && bytes + frame.length > CHUNK_BYTES_MAX) break;
      count += 1;
      bytes += frame.length;
    }
    if (count === 0) return undefined;
    const body = new Uint8Array(bytes);
    let at = 0;
    for (const frame of this.#queue.splice(0, count)) {
      body.set(frame, at);
      at += frame.length;
    }
    this.#bytes -= bytes;
    this.#seq += 1;
    return { seq: this.#seq, body };
  }
}
