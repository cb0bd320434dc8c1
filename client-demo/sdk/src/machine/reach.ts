/**
 * Reaching a node: rounds through the known addresses, whether there is no connection or another one is wanted beside it.
 * What a failed round means, and the waiting between rounds, is the connection's business.
 */
import type { Transport } from '../api';
import { Code } from '../protocol/reject';
import type { Address, Out } from './effect';
import type { Cause } from './live';
import { type Dialled, isRedirect, type Outcome, type Purpose, Round } from './round';

/** Longest time for one round while it is not known whether anybody is there, doubled from round to round. */
const ROUND_MS = 2_000;
/** The same for a round through one address, and the most for any, milliseconds. */
const ROUND_MAX_MS = 15_000;

/** Why a round that nobody answered failed. */
const NOBODY: Cause = { code: Code.TIMEOUT, reason: 'no welcome in time' };

/** What became of a dial: nothing yet, or the end of its round; `unanswered`: a hello of it may still arrive. */
export type Ended =
  { readonly purpose: Purpose; readonly outcome: Outcome; readonly unanswered: boolean } | undefined;

/** The round of a client, while there is one. */
export class Reach {
  readonly #out: Out;
  /** Sends the hello on a link, if there is something to greet with. */
  readonly #hello: (dialled: Dialled) => void;
  #round: Round | undefined;
  #above: Transport | undefined;
  #links = 0;

  constructor(out: Out, hello: (dialled: Dialled) => void) {
    this.#out = out;
    this.#hello = hello;
  }

  get purpose(): Purpose | undefined {
    return this.#round?.purpose;
  }

  /** The link on which a hello was sent and not answered. */
  get greeted(): number | undefined {
    return this.#round?.greeted;
  }

  /** Whether a hello is on its way. */
  get greets(): boolean {
    return this.greeted !== undefined;
  }

  find(link: number): Dialled | undefined {
    return this.#round?.find(link);
  }

  /** Begins a round; `failures` of rounds before it make it longer. `above`: only better carriers than this are wanted. */
  begin(
    now: number,
    purpose: Purpose,
    addresses: readonly Address[],
    options: {
      readonly failures?: number;
      readonly avoid?: Address | undefined;
      readonly above?: Transport;
    } = {},
  ): void {
    const { failures = 0, avoid, above } = options;
    this.#above = above;
    const longest = addresses.length < 2 && purpose === 'connect' ? ROUND_MAX_MS : ROUND_MS * 2 ** failures;
    const patience = purpose === 'connect' ? longest : 2 * ROUND_MS;
    const deadline = now + Math.min(ROUND_MAX_MS, patience);
    this.#round = new Round(purpose, addresses, deadline, NOBODY, avoid);
    this.#next(now);
  }

  /** The connection in use is lost: the round beside it is the way back now. */
  promote(now: number, named: Address | undefined): void {
    if (this.#round === undefined) return;
    this.#round.purpose = 'connect';
    this.#above = undefined;
    this.#round.deadline = Math.max(this.#round.deadline, now + ROUND_MS);
    if (named !== undefined) this.#round.name(named);
  }

  /** Greets what can be greeted; `ready` says whether there is something to greet with. */
  greet(now: number, ready: boolean): void {
    const next = ready ? this.#round?.greet(now) : undefined;
    if (next !== undefined) this.#hello(next);
  }

  /** A dial ended, with what the node named if it may be followed. The round goes on, or is over. */
  lost(now: number, link: number, cause: Cause, named: Address | undefined, ready: boolean): Ended {
    const round = this.#round;
    if (round === undefined) return undefined;
    round.lost(link, cause);
    if (isRedirect(cause.code) && named !== undefined) round.name(named);
    if (round.greeted !== undefined) return undefined;
    if (round.hasSpare) this.greet(now, ready);
    else if (round.hasMore) this.#next(now);
    else if (round.isOver) return this.end();
    else round.nextAt = round.hopelessAt;
    return undefined;
  }

  /** Ends the round: what is still under way is hung up, and never heard of again. */
  end(): Ended {
    const round = this.#round;
    if (round === undefined) return undefined;
    this.#round = undefined;
    for (const link of round.links) this.#out.push({ type: 'hangUp', link, code: 0, reason: '' });
    return { purpose: round.purpose, outcome: round.outcome, unanswered: round.greeted !== undefined };
  }

  /** A node takes the session: the others of the round are hung up. */
  win(link: number): Dialled | undefined {
    const winner = this.#round?.win(link);
    if (winner !== undefined) this.end();
    return winner;
  }

  /** What is due; `late` is a link that was greeted and must be given up, so that a spare gets its turn. */
  tick(now: number): { readonly ended?: Ended; readonly late?: number } {
    const round = this.#round;
    if (round === undefined) return {};
    if (now >= round.deadline) {
      if (round.greeted === undefined || !round.hasSpare) return { ended: this.end() };
      round.deadline = now + ROUND_MS;
      return { late: round.greeted };
    }
    if (round.nextAt === undefined || now < round.nextAt) return {};
    round.nextAt = undefined;
    if (round.hasSpare) return {};
    if (round.hasMore) this.#next(now);
    else if (round.hopelessAt !== undefined) {
      if (round.hopelessAt <= now) return { ended: this.end() };
      round.nextAt = round.hopelessAt;
    }
    return {};
  }

  deadline(): number | undefined {
    if (this.#round === undefined) return undefined;
    return Math.min(this.#round.deadline, this.#round.nextAt ?? Infinity);
  }

  /** The next address has its turn, beside those that are under way. */
  #next(now: number): void {
    const address = this.#round?.next();
    if (address === undefined) return;
    const link = ++this.#links;
    this.#out.push({ type: 'dial', link, address, above: this.#above });
    this.#round?.begin(now, link, address);
  }
}
