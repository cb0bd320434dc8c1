/**
 * What goes on beside a live link: leaving a node that will stop, trying again on a changed network, and asking the other node
 * when this one is silent. Each is a round that begins while the link still carries.
 */
import type { Draining } from '../protocol/delivery';
import type { Clock } from './clock';
import { Doubt } from './doubt';
import { type Address, earlier, type Entropy } from './effect';
import type { Endpoints } from './endpoints';
import type { Reach } from './reach';
import type { Purpose } from './round';

/** Begins rounds beside the live link. What returns `true` has begun one. */
export class Beside {
  readonly #endpoints: Endpoints;
  readonly #reach: Reach;
  readonly #entropy: Entropy;
  readonly #doubt = new Doubt();
  #drainAt: number | undefined;

  constructor(endpoints: Endpoints, reach: Reach, entropy: Entropy) {
    this.#endpoints = endpoints;
    this.#reach = reach;
    this.#entropy = entropy;
  }

  /** The link is lost, or another one has taken its place. */
  stop(): void {
    this.#drainAt = undefined;
    this.#doubt.over();
  }

  /** The node will stop: moves in its slot, if there is another place. */
  draining(now: number, draining: Draining, current: Address): void {
    const named = this.#endpoints.named(draining.endpoint);
    if (this.#reach.purpose === 'leave') return;
    if (named === undefined && this.#endpoints.others(current).length === 0) return;
    this.#endpoints.aim(named);
    this.#drainAt = now + draining.moveAfterMs;
  }

  /** The network is another one: the same node is dialled again. */
  again(now: number, current: Address): boolean {
    return this.#reach.purpose === undefined && this.#begin(now, 'leave', [current]);
  }

  /** The node gave a sign of life. A hello that has gone to another node already is left to its answer. */
  heard(): void {
    this.#doubt.over();
    if (this.#reach.purpose === 'doubt' && !this.#reach.greets) this.#reach.end();
  }

  /** No other node reigns yet. */
  refused(now: number, retryAfterMs: number): void {
    this.#doubt.refused(now, retryAfterMs, this.#entropy.unit());
  }

  tick(now: number, current: Address, clock: Clock): boolean {
    if (this.#drainAt !== undefined && now >= this.#drainAt) {
      this.#drainAt = undefined;
      // A doubt that waits for its answer may find the same node by itself.
      if (this.#reach.greets) return false;
      this.#reach.end();
      const others = this.#endpoints.round().filter(({ url }) => url !== current.url);
      return this.#begin(now, 'leave', others, current);
    }
    const at = this.#doubtAt(current, clock);
    if (at === undefined || now < at) return false;
    this.#doubt.asked();
    return this.#begin(now, 'doubt', this.#endpoints.others(current), current);
  }

  deadline(current: Address, clock: Clock): number | undefined {
    return earlier(this.#drainAt, this.#doubtAt(current, clock));
  }

  #doubtAt(current: Address, clock: Clock): number | undefined {
    if (this.#reach.purpose !== undefined || this.#endpoints.others(current).length === 0) return undefined;
    return this.#doubt.at(clock.silentSince, clock.rtt);
  }

  #begin(now: number, purpose: Purpose, addresses: readonly Address[], avoid?: Address): boolean {
    if (addresses.length === 0) return false;
    this.#reach.begin(now, purpose, addresses, 0, avoid);
    return true;
  }
}
