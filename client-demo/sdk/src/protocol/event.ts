/**
 * Events: the entries of a conversation's log, numbered 1, 2, 3 without gaps, the same for everyone and forever. Twin of
 * crates/protocol/src/event.rs.
 *
 * An event's body is encoded apart and named by a number, so that a client that does not know a kind of event can still
 * count it: it shows nothing and moves on.
 */
import { bool, bytes, decode, openVariants, option, struct, u16, u64, type Value } from './codec';
import { Role } from './hello';
import { ClientMessageId, DisplayName, Emoji, Label, UserId } from './ids';

/** Which rules a conversation follows. */
export const ConversationKind = openVariants('group', 'direct', 'group', 'support', 'broadcast');
export type ConversationKind = Value<typeof ConversationKind>;

/** The stages of a support conversation. Others are always active. */
export const Status = openVariants('active', 'queued', 'active', 'resolved', 'closed');
export type Status = Value<typeof Status>;

/** One entry of a conversation's log. */
export const Event = struct({
  seq: u64,
  atMs: u64,
  author: option(UserId),
  /** Which body follows; see {@link decodeEventBody}. */
  kind: u16,
  body: bytes,
});
export type Event = Value<typeof Event>;

/** What was said: how to read the bytes, and the bytes. */
export const Content = struct({ format: u16, body: bytes });
export type Content = Value<typeof Content>;

/** Formats of {@link Content}. Numbers of 1024 and more are free for applications. */
export const format = { TEXT: 0, JSON: 1, BINARY: 2, CARD: 3 } as const;

/** Somebody said something. */
export const Message = struct({ id: ClientMessageId, content: Content, replyTo: option(u64) });
export type Message = Value<typeof Message>;

/** The first event. */
export const Created = struct({ kind: ConversationKind, subject: option(DisplayName) });
export const MemberJoined = struct({ user: UserId, name: DisplayName, role: Role });
export const MemberLeft = struct({ user: UserId });
export const Assigned = struct({ agent: UserId });
export const StatusChanged = struct({ status: Status });
/** The message at seq `target` says something else. */
export const Edited = struct({ id: ClientMessageId, target: u64, content: Content });
/** The message at seq `target` is gone. */
export const Deleted = struct({ id: ClientMessageId, target: u64 });
/** A reaction of the event's author to the message at seq `target` appeared or went. */
export const Reacted = struct({ id: ClientMessageId, target: u64, emoji: Emoji, on: bool });
/** In place of a deleted message (`of` is its own seq), or of one of its edits. */
export const Tombstone = struct({ of: u64, deletion: u64, deletedAtMs: u64 });
/** Something happened, told by a back end; text or JSON. */
export const System = struct({ id: ClientMessageId, name: Label, content: Content });
/** An event for staff: another one inside. */
export const Private = struct({ kind: u16, body: bytes });
/** An event that this user may not see: it counts, and shows nothing. */
export const Withheld = struct({});
/** The member `before`, an anonymous visitor, is `user` from now on. */
export const MemberIdentified = struct({ before: UserId, user: UserId, name: DisplayName });

/** Every kind of event: number and shape. */
export const EVENT_BODIES = {
  Message: [1, Message],
  Created: [2, Created],
  MemberJoined: [3, MemberJoined],
  MemberLeft: [4, MemberLeft],
  Assigned: [5, Assigned],
  StatusChanged: [6, StatusChanged],
  Edited: [7, Edited],
  Deleted: [8, Deleted],
  Reacted: [9, Reacted],
  Tombstone: [10, Tombstone],
  System: [11, System],
  Private: [12, Private],
  Withheld: [13, Withheld],
  MemberIdentified: [20, MemberIdentified],
} as const;

type Bodies = typeof EVENT_BODIES;
export type EventBody = {
  [K in keyof Bodies]: { readonly type: K; readonly body: Value<Bodies[K][1]> };
}[keyof Bodies];

/** Reads a body; `undefined` when the kind is not known here. Throws `CodecError` when the bytes do not fit the kind. */
export function decodeEventBody(kind: number, body: Uint8Array): EventBody | undefined {
  for (const [type, [number, codec]] of Object.entries(EVENT_BODIES)) {
    if (number === kind) return { type, body: decode<unknown>(codec, body) } as EventBody;
  }
  return undefined;
}
