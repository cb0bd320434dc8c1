/**
 * One round: every known address is tried once, and the first node that takes the session ends it.
 *
 * ```text
 *  first address ──► dialled ──(silent for a moment, or gone)──► next one dialled beside it, and so on
 *                       │ the carrier stands
 *                       ▼
 *                    greeted, one at a time ──► welcome: the round is won, the others are hung up
 *                       └── refused, lost ──► the next that stands, or the next address
 * ```
 * Only one link of a round has ever sent a hello that is not answered, so that a loser never becomes a session. Nothing here
 * waits between addresses; waiting is for the time between rounds.
 */
import { isLocal } from '../protocol/reject';
import type { Address, CarrierInfo } from './effect';
import type { Cause } from './live';

/** How long an address may be silent before the next one is tried beside it, milliseconds. */
export const NEXT_ADDRESS_MS = 400;
/** How long a node that took the hello may think before another carrier is made ready beside it, milliseconds. */
const GREETED_MS = 1_000;

/** What a round is for: there is no connection, another one is wanted, or the node in use is silent. */
export type Purpose = 'connect' | 'leave' | 'doubt';

/** A link that is not welcomed yet. */
export interface Dialled {
  readonly link: number;
  readonly address: Address;
  readonly since: number;
  carrier: CarrierInfo | undefined;
}

/** What a failed round leaves. */
export interface Outcome {
  readonly cause: Cause;
  /** Addresses that gave no answer. */
  readonly silent: readonly string[];
}

/** Whether a code says that another node goes on. */
export function isRedirect(code: number): boolean {
  return code >= 3400 && code <= 3499;
}

/** A round under way. Whoever holds it dials what {@link next} names and greets what {@link greet} names. */
export class Round {
  purpose: Purpose;
  /** The round is over then, whatever is still under way. */
  deadline: number;
  /** When the next address has its turn. */
  nextAt: number | undefined;
  readonly #dialled: Dialled[] = [];
  readonly #left: Address[];
  readonly #tried: Set<string>;
  readonly #silent: string[] = [];
  #greeted: number | undefined;
  /** A node said that it is not the one: whoever is silent after that had as much time as that answer took. */
  #redirected = false;
  #cause: Cause;

  /** A round through `addresses`; `avoid` is not tried even if a node names it. */
  constructor(
    purpose: Purpose,
    addresses: readonly Address[],
    deadline: number,
    cause: Cause,
    avoid?: Address,
  ) {
    this.purpose = purpose;
    this.deadline = deadline;
    this.#left = [...addresses];
    this.#tried = new Set(avoid === undefined ? [] : [avoid.url]);
    this.#cause = cause;
  }

  /** The next address, from now on a tried one. */
  next(): Address | undefined {
    const address = this.#left.shift();
    if (address !== undefined) this.#tried.add(address.url);
    return address;
  }

  begin(now: number, link: number, address: Address): void {
    this.#dialled.push({ link, address, since: now, carrier: undefined });
    this.nextAt = now + NEXT_ADDRESS_MS;
  }

  find(link: number): Dialled | undefined {
    return this.#dialled.find(dialled => dialled.link === link);
  }

  get hasMore(): boolean {
    return this.#left.length > 0;
  }

  /** The link that was greeted and has not answered. */
  get greeted(): number | undefined {
    return this.#greeted;
  }

  /** Whether another carrier stands beside the one that was greeted. */
  get hasSpare(): boolean {
    return this.#dialled.some(({ link, carrier }) => carrier !== undefined && link !== this.#greeted);
  }

  get isOver(): boolean {
    return this.#dialled.length === 0 && !this.hasMore;
  }

  /** The link that should be greeted now, if none is. */
  greet(now: number): Dialled | undefined {
    if (this.#greeted !== undefined) return undefined;
    const next = this.#dialled.find(({ carrier }) => carrier !== undefined);
    if (next === undefined) return undefined;
    this.#greeted = next.link;
    this.nextAt = now + GREETED_MS;
    return next;
  }

  /** A dial ended. `true` when it had been greeted. */
  lost(link: number, cause: Cause): boolean {
    const dialled = this.find(link);
    if (dialled === undefined) return false;
    this.#dialled.splice(this.#dialled.indexOf(dialled), 1);
    if (isLocal(cause.code)) this.#silent.push(dialled.address.url);
    this.#redirected ||= isRedirect(cause.code);
    const retryAfterMs = Math.max(this.#cause.retryAfterMs ?? 0, cause.retryAfterMs ?? 0);
    this.#cause = { ...cause, retryAfterMs };
    const greeted = this.#greeted === link;
    if (greeted) this.#greeted = undefined;
    return greeted;
  }

  /** A node named this address: it is the next one, unless it had its turn. */
  name(address: Address): void {
    if (this.#tried.has(address.url)) return;
    const at = this.#left.findIndex(({ url }) => url === address.url);
    if (at >= 0) this.#left.splice(at, 1);
    this.#left.unshift(address);
  }

  /** When the round is over although dials still run: all other nodes have answered, and these had time enough. */
  get hopelessAt(): number | undefined {
    if (!this.#redirected || this.#greeted !== undefined || this.hasMore || this.#dialled.length === 0) {
      return undefined;
    }
    return Math.max(...this.#dialled.map(({ since }) => since + NEXT_ADDRESS_MS));
  }

  /** Takes the winner out. */
  win(link: number): Dialled | undefined {
    const winner = this.find(link);
    if (winner !== undefined) this.#dialled.splice(this.#dialled.indexOf(winner), 1);
    return winner;
  }

  /** What is still under way. */
  get links(): number[] {
    return this.#dialled.map(({ link }) => link);
  }

  /** Why it failed. */
  get outcome(): Outcome {
    return {
      cause: this.#cause,
      silent: [...this.#silent, ...this.#dialled.map(({ address }) => address.url)],
    };
  }
}
