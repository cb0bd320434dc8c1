/**
 * What the carriers have in common: lanes that take `kind · body`, datagrams where there are any, one end with a code.
 * A carrier knows bytes and lanes, and nothing of what they say.
 */
import type { Transport } from '../api';
import type { Address, CarrierInfo } from '../machine/effect';
import type { Frame } from '../protocol/frame';

/** A connection that stands. */
export interface Carrier {
  readonly info: CarrierInfo;
  /** Makes a lane: a stream of its own while fewer than `streamsMax` are, else a numbered wrapper. */
  openLane(lane: number, bulk: boolean, streamsMax: number): void;
  /** The client needs the lane no more. */
  finishLane(lane: number): void;
  /** Sends `kind · body`; lane 0 is the control lane. */
  send(lane: number, inner: Uint8Array): void;
  /** Sends an ephemeral fact: as a datagram if that was agreed, or on lane 0, or (when the way is jammed) not at all. */
  signal(inner: Uint8Array, datagram: boolean): void;
  /** Ends it. What was sent before is given a moment to leave, unless `now`; resolves when it is over. */
  close(code: number, reason: string, now?: boolean): Promise<void>;
}

/** What a carrier tells. After `down` it is silent. */
export interface CarrierEvents {
  frame(lane: number, frame: Frame): void;
  /** A lane of its own was ended by the server. */
  laneDown(lane: number): void;
  /** The connection ended; code 0 when none was given. */
  down(code: number, reason: string): void;
}

/**
 * Opens a carrier to an address. Rejects when it cannot be had, or when `signal` says that it is not wanted any more. `above`: only
 * one that is better than this will do.
 */
export type Dial = (
  address: Address,
  events: CarrierEvents,
  signal: AbortSignal,
  above?: Transport,
) => Promise<Carrier>;

/** How long what was sent last may take to leave, milliseconds. */
export const FLUSH_MS = 300;
/** The code with which a client ends a connection by itself. */
export const CLOSE_CODE = 6;

/** `text` cut to at most `max` bytes of UTF-8. */
export function cut(text: string, max: number): string {
  const bytes = new Uint8Array(max);
  const { read } = new TextEncoder().encodeInto(text, bytes);
  return text.slice(0, read);
}
