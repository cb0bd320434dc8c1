/**
 * What leaves the machine: effects for the host to carry out, in order, and the shapes that pass between the two.
 *
 * The machine itself has no socket, clock, timer, storage or random numbers; with the same inputs it does the same.
 */
import type { ClientEvents, TokenReason, Transport } from '../api';
import type { DuetError } from '../errors';
import type { Durability } from '../protocol/command';
import type { CallAsked } from '../protocol/call';
import { type Command, encodeCommand } from '../protocol/command';
import type { Content } from '../protocol/event';
import type { Act } from './acts';

/** An address to dial, resolved from what the application gave. */
export interface Address {
  /** `https://host:port`, the address's name. */
  readonly url: string;
  readonly webTransport: string | undefined;
  readonly webSocket: string | undefined;
  /** Below it are the paths of server-sent events and long polling. */
  readonly http: string | undefined;
}

/** The session as it is kept over a reload. The resume token is a secret of this tab. */
export interface SavedSession {
  readonly session: string;
  readonly resume: Uint8Array;
  readonly tenant: string;
  readonly user: string;
  /** The highest reign of a primary that was seen. */
  readonly epoch: number;
  /** Further addresses at which it can be resumed. */
  readonly peers: readonly string[];
}

/** How far a conversation had come, kept over a reload. */
export interface SavedPosition {
  readonly conversation: string;
  readonly epoch: number;
  readonly seq: number;
  readonly read: number;
}

/** A message that waits to be accepted, or has failed and waits for a decision. */
export interface OutboxEntry {
  readonly id: string;
  readonly conversation: string;
  /** `tenant/user`; empty while the user is not known. Never sent for anybody else. */
  readonly owner: string;
  /** What it is, if it is no message. */
  readonly act?: Act | undefined;
  readonly content: Content;
  readonly replyTo: number | undefined;
  readonly durability: Durability;
  /** When it was queued, by the server's clock. */
  readonly queuedAt: number;
  /** Why it was refused, if it was. */
  readonly failed: { readonly code: number; readonly message: string } | undefined;
}

/** What the host does for the machine. */
export type Effect =
  /** `above`: only a better carrier than this will do. */
  | {
      readonly type: 'dial';
      readonly link: number;
      readonly address: Address;
      readonly above: Transport | undefined;
    }
  | { readonly type: 'hangUp'; readonly link: number; readonly code: number; readonly reason: string }
  | {
      readonly type: 'openLane';
      readonly link: number;
      readonly lane: number;
      readonly bulk: boolean;
      /** How many lanes may be streams of their own. */
      readonly streamsMax: number;
    }
  | { readonly type: 'finishLane'; readonly link: number; readonly lane: number }
  | { readonly type: 'frame'; readonly link: number; readonly lane: number; readonly inner: Uint8Array }
  /** A `datagram` if that was agreed, else a frame on lane 0; dropped when the way is jammed. */
  | {
      readonly type: 'signal';
      readonly link: number;
      readonly inner: Uint8Array;
      readonly datagram: boolean;
    }
  | { readonly type: 'getToken'; readonly reason: TokenReason }
  | { readonly type: 'saveSession'; readonly session: SavedSession | undefined }
  | { readonly type: 'savePosition'; readonly position: SavedPosition }
  | { readonly type: 'storeMessage'; readonly entry: OutboxEntry }
  | { readonly type: 'dropMessage'; readonly id: string }
  /** Somebody asks this service; or waits no longer for its answer. */
  | { readonly type: 'asked'; readonly question: CallAsked }
  | { readonly type: 'callEnded'; readonly call: number }
  | { readonly type: 'emit'; readonly event: Emission }
  | { readonly type: 'settle'; readonly call: number; readonly value: unknown }
  | { readonly type: 'refuse'; readonly call: number; readonly error: DuetError };

/** An event for the application. */
export type Emission = {
  [K in keyof ClientEvents]: { readonly name: K; readonly data: ClientEvents[K] };
}[keyof ClientEvents];

/** Randomness, given from outside. */
export interface Entropy {
  /** Evenly from 0 (inclusive) to 1 (exclusive). */
  unit(): number;
  bytes(count: number): Uint8Array;
}

/** What the host knows of a carrier that stands; kept up to date until it is welcomed. */
export interface CarrierInfo {
  transport: Transport;
  readonly datagrams: boolean;
  /** A better one may be had at the same address. */
  better: boolean;
}

/** The queue of effects, and the one live link on which commands leave. */
export class Out {
  /** The live link; commands go nowhere without it. */
  link: number | undefined;
  /** How many lanes may be streams of their own. */
  streamsMax = 0;
  /** Whether signals may travel as datagrams. */
  datagrams = false;
  #queue: Effect[] = [];

  push(effect: Effect): void {
    this.#queue.push(effect);
  }

  poll(): Effect | undefined {
    return this.#queue.shift();
  }

  emit<K extends keyof ClientEvents>(name: K, data: ClientEvents[K]): void {
    this.push({ type: 'emit', event: { name, data } as Emission });
  }

  settle(calls: Iterable<number>, value?: unknown): void {
    for (const call of calls) this.push({ type: 'settle', call, value });
  }

  refuse(calls: Iterable<number>, error: DuetError): void {
    for (const call of calls) this.push({ type: 'refuse', call, error });
  }

  /** Opens a lane on the live link. */
  openLane(lane: number, bulk: boolean): void {
    if (this.link === undefined) return;
    this.push({ type: 'openLane', link: this.link, lane, bulk, streamsMax: this.streamsMax });
  }

  /** Sends on the live link; `false` when there is none. */
  command(lane: number, command: Command): boolean {
    if (this.link === undefined) return false;
    this.push({ type: 'frame', link: this.link, lane, inner: encodeCommand(command) });
    return true;
  }

  /** Sends an ephemeral fact on the live link, or not at all. */
  signal(command: Command): void {
    if (this.link === undefined) return;
    const inner = encodeCommand(command);
    this.push({ type: 'signal', link: this.link, inner, datagram: this.datagrams });
  }
}

/** The earlier of two deadlines, either of which may be missing. */
export function earlier(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.min(a, b);
}
