/**
 * How long to wait before the next try: full jitter, so that clients that were dropped together do not come back together.
 *
 * The first try after a loss within 1 s, then evenly from 0 to 0.5 s doubling to 20 s; while a pair fails over, twelve times
 * within 0.5 s. What the server asks for comes on top of it, never instead.
 *
 * The count is forgotten at the first proof of service on a connection. A welcome is none: a server that lets clients in and
 * drops them at once meets growing waits, and so does one that falls over whatever waits in an outbox.
 */
import type { Delivery } from '../protocol/delivery';

const FIRST_MS = 1_000;
const BASE_MS = 500;
const MAX_MS = 20_000;
/** Rounds that follow each other quickly while a pair fails over: a quarter of a second each on average, for about three seconds. */
const QUICK_TRIES = 12;

/**
 * That a node serves, as opposed to: that it answers. It acknowledged a message, or (enough for a client that has nothing to
 * publish) it said what only a node that serves can say.
 */
export type Proof = 'acknowledged' | 'answered';

/** What a delivery proves. */
export function proofOf(delivery: Delivery): Proof | undefined {
  switch (delivery.type) {
    case 'Published':
      return 'acknowledged';
    case 'Opened':
    case 'CaughtUp':
    case 'Event':
    case 'Done':
    case 'Created':
    case 'HistoryPage':
      return 'answered';
    default:
      return undefined;
  }
}

/** Counts tries and says how long to wait. */
export class Backoff {
  #tries = 0;

  /** How many tries were made since the last reset. */
  get tries(): number {
    return this.#tries;
  }

  /** Milliseconds until the next try; `unit` is random from 0 to 1. `quick`: another node may take over in a moment. */
  next(unit: number, retryAfterMs = 0, quick = false): number {
    const ceiling = bound(this.#tries, quick);
    this.#tries += 1;
    return retryAfterMs + Math.floor(unit * ceiling);
  }

  reset(): void {
    this.#tries = 0;
  }
}

/** The longest wait after `tries` failures. */
function bound(tries: number, quick: boolean): number {
  if (quick)
    return tries < QUICK_TRIES ? BASE_MS : Math.min(MAX_MS, BASE_MS * 2 ** (tries - QUICK_TRIES + 1));
  return tries === 0 ? FIRST_MS : Math.min(MAX_MS, BASE_MS * 2 ** (tries - 1));
}
