/**
 * How long to wait before the next try: full jitter, so that clients that were dropped together do not come back together.
 *
 * The first try after a loss within 1 s, then evenly from 0 to 0.5 s doubling to 20 s. What the server asks for comes on
 * top of it, never instead.
 */

const FIRST_MS = 1_000;
const BASE_MS = 500;
const MAX_MS = 20_000;

/** Counts tries and says how long to wait. */
export class Backoff {
  #tries = 0;

  /** How many tries were made since the last reset. */
  get tries(): number {
    return this.#tries;
  }

  /** Milliseconds until the next try; `unit` is random from 0 to 1. */
  next(unit: number, retryAfterMs = 0): number {
    const ceiling = this.#tries === 0 ? FIRST_MS : Math.min(MAX_MS, BASE_MS * 2 ** (this.#tries - 1));
    this.#tries += 1;
    return retryAfterMs + Math.floor(unit * ceiling);
  }

  reset(): void {
    this.#tries = 0;
  }
}
