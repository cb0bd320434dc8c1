/**
 * The server's clock as seen from here, the round trip, and whether the other side is still there: one ping at a time on
 * the control lane, at the pace that the server asks for, and while somebody looks on whenever the server has been quiet.
 *
 * Silence counts only for those who listened. Browsers hold the timers of hidden pages back by up to a minute and stop pages
 * altogether; a deadline that is noticed late is therefore waited for once more, while what has arrived meanwhile is read.
 */
import { earlier, type Out } from './effect';

/** Silence after a ping for which the connection is taken for dead, milliseconds. */
const PONG_WITHIN_MS = 10_000;
/** The same while somebody looks on, or when there is a reason for doubt: the page was asleep, the network changed. */
const PROMPT_WITHIN_MS = 4_000;
/** While somebody looks on, the server is asked for a sign of life after this much quiet, milliseconds. */
const QUIET_MS = 3_000;
/** A deadline that is noticed later than this was slept through, milliseconds. */
const LATE_MS = 1_000;

/** Clock offset, round trip and liveness of the live link. */
export class Clock {
  /** Milliseconds to add to the local clock. */
  offset: number;
  rtt: number | undefined;
  readonly #out: Out;
  #everyMs = 0;
  #nonce = 0n;
  #attended = false;
  #heardAt = 0;
  #pingAt: number | undefined;
  #sentAt: number | undefined;
  #deadAt: number | undefined;
  /** Something was asked whose answer should have come by then. */
  #expectAt: number | undefined;
  /** Whether this deadline was slept through once already. */
  #excused = false;

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
    this.#heardAt = now;
    this.#ping(now, this.#patienceMs);
  }

  stop(): void {
    this.#pingAt = this.#sentAt = this.#deadAt = this.#expectAt = undefined;
  }

  /** Somebody looks on, or no longer does: that decides how soon silence is noticed. */
  attend(now: number, attended: boolean): void {
    if (attended && !this.#attended) this.probe(now);
    this.#attended = attended;
  }

  /** Asks now, and expects an answer sooner than usual. */
  probe(now: number): void {
    if (this.#pingAt === undefined && this.#sentAt === undefined) return;
    if (this.#sentAt === undefined) this.#ping(now, PROMPT_WITHIN_MS);
    else this.#deadAt = Math.min(this.#deadAt ?? Infinity, now + PROMPT_WITHIN_MS);
  }

  /** Something was sent that is answered at once as a rule: without any sign of life within `withinMs` a ping follows. */
  expect(now: number, withinMs: number): void {
    this.#expectAt ??= now + withinMs;
  }

  /** When the ping was sent that no sign of life has followed. */
  get silentSince(): number | undefined {
    return this.#sentAt !== undefined && this.#heardAt <= this.#sentAt ? this.#sentAt : undefined;
  }

  /** Something arrived: the other side is there, if slow. */
  heard(now: number): void {
    this.#heardAt = now;
    this.#expectAt = undefined;
    this.#excused = false;
    if (this.#deadAt !== undefined) this.#deadAt = Math.max(this.#deadAt, now + this.#patienceMs);
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
    if (this.#deadAt !== undefined && now >= this.#deadAt) {
      if (this.#excused || now - this.#deadAt <= LATE_MS) return true;
      this.#excused = true;
      this.#deadAt = now + PROMPT_WITHIN_MS;
    }
    const askAt = this.#askAt;
    if (askAt !== undefined && now >= askAt) this.#ping(now, this.#patienceMs);
    return false;
  }

  deadline(): number | undefined {
    return this.#deadAt ?? this.#askAt;
  }

  /** When the next ping is due. */
  get #askAt(): number | undefined {
    if (this.#pingAt === undefined) return undefined;
    const due = earlier(this.#pingAt, this.#expectAt);
    return this.#attended ? earlier(due, this.#heardAt + QUIET_MS) : due;
  }

  get #patienceMs(): number {
    return this.#attended ? PROMPT_WITHIN_MS : PONG_WITHIN_MS;
  }

  #ping(now: number, withinMs: number): void {
    this.#nonce += 1n;
    this.#sentAt = now;
    this.#deadAt = now + withinMs;
    this.#excused = false;
    this.#pingAt = this.#expectAt = undefined;
    this.#out.command(0, { type: 'Ping', body: { nonce: this.#nonce } });
  }
}
