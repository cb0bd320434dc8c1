/**
 * When the next round begins: after a drawn wait, at once where a server named another node, and not before it is shown
 * again while a page is hidden for long.
 */
import { Code, isLocal } from '../protocol/reject';
import { Backoff } from './backoff';
import type { Cause } from './live';
import { isRedirect } from './round';

/** After this time without trouble, but without a proof of service either, the waits begin anew, milliseconds. */
const STABLE_MS = 30_000;
/** A page hidden for longer than this does not reconnect until it is shown, milliseconds. */
const HIDDEN_MS = 300_000;
/** How often a server may say "reconnect now", without a proof of service, before the backoff applies all the same. */
const MOVES_MAX = 3;

/** The wait between two rounds, if one is on. */
export class Waits {
  /** When the next round begins; `undefined` while there is one or none is wanted. */
  retryAt: number | undefined;
  readonly #backoff = new Backoff();
  #moves = 0;
  #hiddenSince: number | undefined;

  /** How many rounds have failed. */
  get failures(): number {
    return this.#backoff.tries;
  }

  /** The application asks to connect, or a node gave a proof that it serves. */
  reset(): void {
    this.#backoff.reset();
    this.#moves = 0;
  }

  /** A link that stood since `since` is lost. */
  lost(now: number, since: number): void {
    if (now - since >= STABLE_MS) this.reset();
  }

  /** Whether this code leads elsewhere at once: two nodes may each name the other, so not for ever. */
  movesAtOnce(code: number): boolean {
    return isRedirect(code) && this.#moves++ < MOVES_MAX;
  }

  /** Draws a wait: short where another node (`pair`) may take over in a moment and nobody asks for rest. */
  draw(cause: Cause, pair: boolean, unit: number): number {
    const { code, retryAfterMs } = cause;
    const soon = isRedirect(code) || isLocal(code) || code === Code.SHUTDOWN;
    return this.#backoff.next(unit, retryAfterMs, soon && pair);
  }

  hidden(now: number, hidden: boolean): void {
    this.#hiddenSince = hidden ? (this.#hiddenSince ?? now) : undefined;
  }

  isDue(now: number): boolean {
    const at = this.deadline(now);
    return at !== undefined && now >= at;
  }

  deadline(now: number): number | undefined {
    const asleep = this.#hiddenSince !== undefined && now - this.#hiddenSince > HIDDEN_MS;
    return asleep ? undefined : this.retryAt;
  }
}
