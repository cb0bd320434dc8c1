/**
 * The server's clock as seen from here, the round trip, and whether the other side is still there: one ping at a time on
 * the control lane, at the pace that the server asks for.
 */
import type { Out } from './effect';

/** Silence after a ping for which the connection is taken for dead, milliseconds. */
const PONG_WITHIN_MS = 10_000;
/** The same when there is a reason for doubt: the page was asleep, the network changed. */
const PROBE_WITHIN_MS = 4_000;

/** Clock offset, round trip and liveness of the live link. */
export class Clock {
  /** Milliseconds to add to the local clock. */
  offset: number;
  rtt: number | undefined;
  readonly #out: Out;
  #everyMs = 0;
  #nonce = 0n;
  #pingAt: number | undefined;
  #sentAt: number | undefined;
  #deadAt: number | undefined;

  constructor(out: Out, offset: number) {
    this.#out = out;
    this.offset = offset;
  }

  /** The server's time at the local time `now`. */
  server(now: number): number {
    return Math.round(now + this.offset);
  }

  /** A connection stands; measures at once, then every `everyMs`. */
  start(now: number, everyMs: number, serverTimeMs: number): void {
    this.offset = serverTimeMs - now;
    this.#everyMs = Math.max(1_000, everyMs);
    this.#sentAt = this.#deadAt = undefined;
    this.#ping(now, PONG_WITHIN_MS);
  }

  stop(): void {
    this.#pingAt = this.#sentAt = this.#deadAt = undefined;
  }

  /** Asks now, and expects an answer sooner than usual. */
  probe(now: number): void {
    if (this.#pingAt === undefined && this.#sentAt === undefined) return;
    if (this.#sentAt === undefined) this.#ping(now, PROBE_WITHIN_MS);
    else this.#deadAt = Math.min(this.#deadAt ?? Infinity, now + PROBE_WITHIN_MS);
  }

  /** Something arrived: the other side is there, if slow. */
  heard(now: number): void {
    if (this.#deadAt !== undefined) this.#deadAt = Math.max(this.#deadAt, now + PONG_WITHIN_MS);
  }

  pong(now: number, nonce: bigint, serverTimeMs: number): void {
    if (nonce !== this.#nonce || this.#sentAt === undefined) return;
    const sample = now - this.#sentAt;
    this.rtt = this.rtt === undefined ? sample : this.rtt + (sample - this.rtt) / 4;
    this.offset = serverTimeMs + sample / 2 - now;
    this.#sentAt = this.#deadAt = undefined;
    this.#pingAt = now + this.#everyMs;
  }

  /** Sends what is due; `true` when the other side has been silent for too long. */
  tick(now: number): boolean {
    if (this.#deadAt !== undefined && now >= this.#deadAt) return true;
    if (this.#pingAt !== undefined && now >= this.#pingAt) this.#ping(now, PONG_WITHIN_MS);
    return false;
  }

  deadline(): number | undefined {
    return this.#deadAt ?? this.#pingAt;
  }

  #ping(now: number, withinMs: number): void {
    this.#nonce += 1n;
    this.#sentAt = now;
    this.#deadAt = now + withinMs;
    this.#pingAt = undefined;
    this.#out.command(0, { type: 'Ping', body: { nonce: this.#nonce } });
  }
}
