/**
 * Doubt: the node in use has been silent when it should have spoken. Where a pair is known, the other node is asked, beside
 * the connection in use, whether it reigns by now.
 *
 * ```text
 *  quiet, or a publish without an answer ──► Ping ──(no sign of life)──► a hello to the other node
 *                                              ▲                            │ welcome: the session has moved
 *                                              └── again and again ◄────────┘ not the primary: nothing has changed
 * ```
 * Where the silence lasts, or where no other node is known, the node in use is dialled again beside the old link: a network path can
 * die without a word (another access point, a network that has begun to swallow UDP), and the same node answers on a new one.
 * To ask is harmless: a node that does not reign refuses and changes nothing, and one that does has fenced the other off. So a
 * failover costs a client no longer than the pair itself needs, and the application sees no interruption; a node that was
 * only slow keeps its sessions.
 */

/** How long an answer is awaited before there is doubt, milliseconds; three round trips where that is longer. */
export const DOUBT_MS = 500;
/** The same before a second way to the node in use is opened, because its network path seems dead. */
export const STALL_MS = 1_500;
/** Wait between two questions to the other node: below this bound at first, milliseconds. */
export const ASK_AGAIN_MS = 400;
/** So many questions come that soon; a pair takes about two seconds to fail over. */
const ASKED_SOON = 12;
const ASK_AGAIN_MAX_MS = 5_000;

/** When to ask the other node. */
export class Doubt {
  #asked = 0;
  #notBefore = -Infinity;

  /**
   * When to ask; `silentSince` is when a question was asked that nothing has followed. `alone`: only the node in use can be
   * asked, on another way.
   */
  at(silentSince: number | undefined, rtt: number | undefined, alone: boolean): number | undefined {
    if (silentSince === undefined) return undefined;
    const patience = Math.max(alone ? STALL_MS : DOUBT_MS, 3 * (rtt ?? 0));
    return Math.max(silentSince + patience, this.#notBefore);
  }

  asked(): void {
    this.#asked += 1;
  }

  /** No other node reigns yet; `unit` is random from 0 to 1. */
  refused(now: number, retryAfterMs: number, unit: number): void {
    const doubled = Math.min(8, Math.max(0, this.#asked - ASKED_SOON));
    const bound = Math.min(ASK_AGAIN_MAX_MS, ASK_AGAIN_MS * 2 ** doubled);
    this.#notBefore = now + retryAfterMs + Math.floor(unit * bound);
  }

  /** The node in use has spoken. */
  over(): void {
    this.#asked = 0;
    this.#notBefore = -Infinity;
  }
}
