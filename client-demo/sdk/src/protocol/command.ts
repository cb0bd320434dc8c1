/**
 * What a client says: frames of kinds 0x02 to 0x3f. Twin of crates/protocol/src/command.rs.
 *
 * Control frames belong on lane 0, conversation frames on a lane that began with Open, bulk frames on one that began with
 * HistoryRequest. A number `request` comes back in the answer.
 */
import { Amend, Durability, Note, PostSystem } from './amend';
import { Answer, Call, Serve } from './call';
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
  type Value,
  vec,
} from './codec';
import { Content, ConversationKind, Status } from './event';
import type { Frame } from './frame';
import { Hello } from './hello';
import { ClientMessageId, ConversationId, DisplayName, Position, UserId } from './ids';
import { decodeFrame, encodeFrame, type FrameOf } from './kinds';
import { ActivitySignal, IdleSignal, TypingSignal } from './signal';

export { Durability };

/** What a user chose to be. */
export const Availability = openVariants('busy', 'online', 'busy', 'away', 'offline');
export type Availability = Value<typeof Availability>;

/** Where a subscription begins: at most so many of the latest events, or everything after a position. */
export const Start = tagged({ latest: u16, after: Position });
export type Start = Value<typeof Start>;

/** A direction and a bound, exclusive; a page ascends either way. */
export const Page = tagged({ before: u64, after: u64 });
export type Page = Value<typeof Page>;

const request = u32;

/** Every frame of a client. */
export const COMMANDS = {
  Hello: [0x02, Hello],
  Ping: [0x03, struct({ nonce: bits64 })],
  /** A fresh token for the same user, before the old one ends. */
  Authenticate: [0x04, struct({ request, token: string })],
  SetAvailability: [0x05, struct({ request, availability: Availability.known })],
  /** Replaces the list of watched users, at most 200. */
  WatchPresence: [0x06, struct({ request, users: vec(UserId) })],
  WatchInbox: [0x07, struct({ request, on: bool })],
  CreateConversation: [
    0x08,
    struct({
      request,
      conversation: ConversationId,
      kind: ConversationKind.known,
      subject: option(DisplayName),
      members: vec(UserId),
    }),
  ],
  AddMembers: [0x09, struct({ request, conversation: ConversationId, users: vec(UserId) })],
  RemoveMember: [0x0a, struct({ request, conversation: ConversationId, user: UserId })],
  /** `agent` left out is the caller. */
  Assign: [0x0b, struct({ request, conversation: ConversationId, agent: option(UserId) })],
  SetStatus: [0x0c, struct({ request, conversation: ConversationId, status: Status.known })],
  /** The end of the session; the user is not expected back. */
  Goodbye: [0x0d, struct({})],
  /** A token of the user that an anonymous visitor turned out to be; only where `IDENTIFY` was granted. */
  Identify: [0x0e, struct({ request, token: string })],
  /** Conversation, first: subscribe. */
  Open: [0x10, struct({ conversation: ConversationId, start: Start })],
  Publish: [
    0x11,
    struct({ id: ClientMessageId, content: Content, replyTo: option(u64), durability: Durability }),
  ],
  /** Watermarks of the user; they never go back. Not answered. */
  Receipt: [0x12, struct({ received: u64, read: u64 })],
  /** Unsubscribes a wrapped lane. */
  Close: [0x13, struct({})],
  /** A change of a message. */
  Amend: [0x14, Amend],
  /** Staff: a message that visitors never see. */
  Note: [0x15, Note],
  /** Service: something that happened. */
  PostSystem: [0x16, PostSystem],
  HistoryRequest: [0x18, struct({ request, conversation: ConversationId, page: Page, limit: u16 })],
  /** Service: the methods that this connection serves. */
  Serve: [0x20, Serve],
  Call: [0x21, Call],
  Answer: [0x22, Answer],
  /** Replaces the list of conversations whose members are watched, at most 32; only where `PRESENCE` was granted. */
  WatchMembers: [0x28, struct({ request, conversations: vec(ConversationId) })],
  Typing: [0x30, TypingSignal],
  Idle: [0x31, IdleSignal],
  /** In place of `Idle` where `PRESENCE` was granted. */
  Activity: [0x32, ActivitySignal],
} as const;

export type Command = FrameOf<typeof COMMANDS>;

/** `kind · body` of a command. */
export function encodeCommand(command: Command): Uint8Array {
  return encodeFrame(COMMANDS, command);
}

/** Reads a command; `undefined` when its kind is unknown. */
export function decodeCommand(frame: Frame): Command | undefined {
  return decodeFrame(COMMANDS, frame);
}
