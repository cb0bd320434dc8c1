/**
 * When a lost connection is worth a word: nothing for the first two seconds, a thin line after that, and from ten
 * seconds on an offer of what can be done. What has failed for good says so at once.
 */
import type { ClientState } from '@duet/client';

/** How much is said. */
export type BannerLevel = 'none' | 'line' | 'offer' | 'failed';

/** Silence up to here, milliseconds. */
export const LINE_AFTER_MS = 2_000;
/** A line up to here, milliseconds. */
export const OFFER_AFTER_MS = 10_000;

/** What to say when the client has been without a connection for `awayMs` milliseconds. */
export function bannerLevel(state: ClientState, awayMs: number): BannerLevel {
  if (state === 'failed') return 'failed';
  if (!isAway(state) || awayMs < LINE_AFTER_MS) return 'none';
  return awayMs < OFFER_AFTER_MS ? 'line' : 'offer';
}

/** Milliseconds until the level changes by the mere passing of time; `undefined` when it does not. */
export function bannerChangesIn(state: ClientState, awayMs: number): number | undefined {
  if (!isAway(state) || awayMs >= OFFER_AFTER_MS) return undefined;
  return (awayMs < LINE_AFTER_MS ? LINE_AFTER_MS : OFFER_AFTER_MS) - awayMs;
}

/** Whether the client wants a connection and has none. */
export function isAway(state: ClientState): boolean {
  return state === 'connecting' || state === 'reconnecting' || state === 'suspended';
}
