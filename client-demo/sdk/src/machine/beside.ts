/**
 * What goes on beside a live link: leaving a node that will stop, trying again on a changed network, asking the other node when
 * this one is silent, opening a second way to this one when the first seems dead, and looking for a better carrier than the one in
 * use. Each is a round that begins while the link still carries.
 */
import type { Transport } from '../api';
import type { Draining } from '../protocol/delivery';
import type { Clock } from './clock';
import { ASK_AGAIN_MS, Doubt, STALL_MS } from './doubt';
import { type Address, earlier, type Entropy } from './effect';
import type { Endpoints } from './endpoints';
import type { Reach } from './reach';
import type { Purpose } from './round';

/** When a better carrier is looked for after the connection stands, and the bound to which that doubles, milliseconds. */
const BETTER_AFTER_MS = 30_000;
const BETTER_AFTER_MAX_MS = 600_000;

/** The order to leave: when to try next, until when, and whereto. */
interface Leave {
  at: number | undefined;
  readonly until: number;
  readonly named: Address | undefined;
}

/** Begins rounds beside the live link. What returns `true` has begun one. */
export class Beside {
  /** The browser says that there is a network: a path that is silent nevertheless may be a dead one. */
  online = true;
  readonly #endpoints: Endpoints;
  readonly #reach: Reach;
  readonly #entropy: Entropy;
  readonly #doubt = new Doubt();
  #leave: Leave | undefined;
  /** When to look for a better carrier next, and how long after that. */
  #better: { at: number; readonly above: Transport; everyMs: number } | undefined;

  constructor(endpoints: Endpoints, reach: Reach, entropy: Entropy) {
    this.#endpoints = endpoints;
    this.#reach = reach;
    this.#entropy = entropy;
  }

  /** The link is lost, or another one has taken its place. */
  stop(): void {
    this.#leave = this.#better = undefined;
    this.#doubt.over();
  }

  /** The carrier in use is not the best that this address may have. */
  lesser(now: number, above: Transport): void {
    this.#better = { at: now + this.#jittered(BETTER_AFTER_MS), above, everyMs: BETTER_AFTER_MS };
  }

  /** The node will stop: moves in its slot, if there is another place. */
  draining(now: number, draining: Draining, current: Address): void {
    const named = this.#endpoints.named(draining.endpoint);
    if (this.#reach.purpose === 'leave') return;
    if (named === undefined && this.#endpoints.others(current).length === 0) return;
    const { moveAfterMs, deadlineMs } = draining;
    this.#leave = { at: now + moveAfterMs, until: now + Math.max(moveAfterMs, deadlineMs), named };
  }

  /** The network is another one: the same node is dialled again. */
  again(now: number, current: Address): boolean {
    return this.#reach.purpose === undefined && this.#begin(now, 'leave', [current]);
  }

  /** The node gave a sign of life. A hello that is on its way already is left to its answer. */
  heard(): void {
    this.#doubt.over();
    if (this.#reach.purpose === 'doubt' && !this.#reach.greets) this.#reach.end();
  }

  /** Nobody took the session: no other node reigns yet, or none was reached. */
  refused(now: number, purpose: Purpose, retryAfterMs: number): void {
    const unit = this.#entropy.unit();
    if (purpose === 'doubt') this.#doubt.refused(now, retryAfterMs, unit);
    else if (this.#leave !== undefined) {
      const at = now + retryAfterMs + Math.floor(unit * ASK_AGAIN_MS);
      this.#leave.at = at < this.#leave.until ? at : undefined;
    }
  }

  #jittered(ms: number): number {
    return Math.floor(ms * (0.75 + this.#entropy.unit() / 2));
  }

  tick(now: number, current: Address, clock: Clock): boolean {
    if (this.#leave?.at !== undefined && now >= this.#leave.at) {
      this.#leave.at = undefined;
      // A doubt that waits for its answer may find the same node by itself.
      if (this.#reach.greets) return false;
      this.#reach.end();
      this.#endpoints.aim(this.#leave.named);
      const others = this.#endpoints.round().filter(({ url }) => url !== current.url);
      return this.#begin(now, 'leave', others, current);
    }
    const at = this.#doubtAt(current, clock);
    if (at === undefined || now < at) return this.#lookUp(now, current);
    this.#doubt.asked();
    const others = this.#endpoints.others(current);
    const stalled = this.online && now - (clock.silentSince ?? now) >= STALL_MS;
    if (stalled) return this.#begin(now, 'doubt', [...others, current]);
    return this.#begin(now, 'doubt', others, current);
  }

  deadline(current: Address, clock: Clock): number | undefined {
    const better = this.#reach.purpose === undefined ? this.#better?.at : undefined;
    return earlier(better, earlier(this.#leave?.at, this.#doubtAt(current, clock)));
  }

  /** Looks for a better carrier, ever less often. */
  #lookUp(now: number, current: Address): boolean {
    const better = this.#better;
    if (better === undefined || now < better.at || this.#reach.purpose !== undefined) return false;
    better.everyMs = Math.min(BETTER_AFTER_MAX_MS, 2 * better.everyMs);
    better.at = now + this.#jittered(better.everyMs);
    this.#reach.begin(now, 'leave', [current], { above: better.above });
    return true;
  }

  #doubtAt(current: Address, clock: Clock): number | undefined {
    if (this.#reach.purpose !== undefined) return undefined;
    const alone = this.#endpoints.others(current).length === 0;
    if (alone && !this.online) return undefined;
    return this.#doubt.at(clock.silentSince, clock.rtt, alone);
  }

  #begin(now: number, purpose: Purpose, addresses: readonly Address[], avoid?: Address): boolean {
    if (addresses.length === 0) return false;
    this.#reach.begin(now, purpose, addresses, { avoid });
    return true;
  }
}
