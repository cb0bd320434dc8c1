/** What the server says: frames of kinds 0x40 to 0x7f. Twin of crates/protocol/src/delivery.rs. */
import { Answered, CallAsked, CallEnded } from './call';
import {
  bits64,
  bool,
  openVariants,
  option,
  string,
  struct,
  tagged,
  u16,
  u32,
  u64,
  u8,
  unit,
  type Value,
  vec,
} from './codec';
import { Availability, Durability } from './command';
import { Content, ConversationKind, Event, Status } from './event';
import type { Frame } from './frame';
import { Role, Welcome } from './hello';
import { ClientMessageId, ConversationId, DisplayName, Position, UserId } from './ids';
import { decodeFrame, encodeFrame, type FrameOf } from './kinds';
import { TypingState } from './signal';

/** What the server observes of a user. */
export const Connectivity = openVariants('idle', 'connected', 'idle', 'reconnecting', 'offline', 'reachable');

/** A user's presence, whole; `version` grows with every change under one epoch. */
export const Presence = struct({
  user: UserId,
  availability: Availability,
  connectivity: Connectivity,
  /** 0 for never. */
  lastSeenMs: u64,
  version: u64,
});
export type Presence = Value<typeof Presence>;

/** The anonymous visitor of this connection is a known user from now on; `expiresMs` 0 is never. */
export const Identified = struct({
  request: u32,
  user: UserId,
  name: DisplayName,
  role: Role,
  expiresMs: u64,
});
export type Identified = Value<typeof Identified>;

/** How many members of a large conversation are there, whole; `version` grows with every change under one epoch. */
export const PresenceCounts = struct({
  conversation: ConversationId,
  connected: u32,
  /** Idle, reachable, reconnecting, or away by choice. */
  away: u32,
  offline: u32,
  version: u64,
});
export type PresenceCounts = Value<typeof PresenceCounts>;

/** A member of a conversation with its watermarks. */
export const Member = struct({
  user: UserId,
  name: DisplayName,
  role: Role,
  received: u64,
  read: u64,
  presence: Presence,
});
export type Member = Value<typeof Member>;

/** A conversation as a list shows it, whole. */
export const InboxEntry = struct({
  conversation: ConversationId,
  kind: ConversationKind,
  status: Status,
  subject: option(DisplayName),
  assignee: option(UserId),
  /** Entries of one conversation are ordered by it, then by `read`. */
  head: u64,
  activeAtMs: u64,
  read: u64,
  unread: u32,
  members: vec(struct({ user: UserId, name: DisplayName, role: Role })),
  /** The conversation leaves this user's inbox. */
  gone: bool,
});
export type InboxEntry = Value<typeof InboxEntry>;

/** The subscription stands; the backlog follows. */
export const Opened = struct({
  conversation: ConversationId,
  kind: ConversationKind,
  status: Status,
  subject: option(DisplayName),
  assignee: option(UserId),
  /** The last event at this moment. */
  head: Position,
  /** The first event still kept. */
  firstSeq: u64,
  /** The backlog begins after this seq. */
  after: u64,
  /** `false`: discard what is held and begin anew. */
  complete: bool,
  /** At most 200; larger groups send none. */
  members: vec(Member),
  memberCount: u32,
});
export type Opened = Value<typeof Opened>;

/** The message has a position (0: ephemeral) and is as safe as was asked. */
export const Published = struct({
  id: ClientMessageId,
  seq: u64,
  atMs: u64,
  durability: Durability,
  replicas: u8,
  duplicate: bool,
});
export type Published = Value<typeof Published>;

/** Which command a refusal answers: the lane's last one, the one with this number, the publish with this id. */
export const Subject = tagged({ lane: unit, request: u32, message: ClientMessageId });

/** A command was refused; nothing changed. */
export const Refusal = struct({ subject: Subject, code: u16, message: string, retryAfterMs: u32 });
export type Refusal = Value<typeof Refusal>;

/** The connection ends, and why; `endpoint` (`host:port`) for codes 34xx. */
export const Closing = struct({ code: u16, reason: string, retryAfterMs: u32, endpoint: option(string) });
export type Closing = Value<typeof Closing>;

/** The node will stop; this client moves after `moveAfterMs`. */
export const Draining = struct({ moveAfterMs: u32, deadlineMs: u32, endpoint: option(string) });
export type Draining = Value<typeof Draining>;

/** Ascending, without gaps. */
export const HistoryPage = struct({
  request: u32,
  conversation: ConversationId,
  events: vec(Event),
  more: bool,
});
export type HistoryPage = Value<typeof HistoryPage>;

/** Every frame of the server. */
export const DELIVERIES = {
  Welcome: [0x42, Welcome],
  Pong: [0x43, struct({ nonce: bits64, serverTimeMs: u64 })],
  Done: [0x44, struct({ request: u32 })],
  Refused: [0x45, Refusal],
  Closing: [0x46, Closing],
  Draining: [0x47, Draining],
  /** `expiresMs` 0 is never. */
  Authenticated: [0x48, struct({ request: u32, expiresMs: u64 })],
  Created: [0x49, struct({ request: u32, conversation: ConversationId })],
  InboxEntry: [0x4a, InboxEntry],
  Presence: [0x4b, Presence],
  Identified: [0x4c, Identified],
  PresenceCounts: [0x4d, PresenceCounts],
  Opened: [0x50, Opened],
  Event: [0x51, Event],
  CaughtUp: [0x52, struct({ seq: u64 })],
  Published: [0x53, Published],
  ReceiptUpdated: [0x54, struct({ user: UserId, received: u64, read: u64 })],
  Ephemeral: [0x55, struct({ author: UserId, content: Content })],
  Unsubscribed: [0x56, struct({ code: u16, reason: string })],
  HistoryPage: [0x58, HistoryPage],
  /** A question for this service. */
  CallAsked: [0x60, CallAsked],
  Answered: [0x61, Answered],
  /** Nobody waits for the answer any more. */
  CallEnded: [0x62, CallEnded],
  Typing: [0x70, TypingState],
} as const;

export type Delivery = FrameOf<typeof DELIVERIES>;

/** `kind · body` of a delivery. */
export function encodeDelivery(delivery: Delivery): Uint8Array {
  return encodeFrame(DELIVERIES, delivery);
}

/** Reads a delivery; `undefined` when its kind is unknown. */
export function decodeDelivery(frame: Frame): Delivery | undefined {
  return decodeFrame(DELIVERIES, frame);
}
