/**
 * The values that an application sees: conversations, messages, members, presence. Plain, immutable data; a change
 * makes a new object, so that a view can compare by identity. All times are Unix milliseconds by the server's clock,
 * all ids are strings (UUIDs in their usual form for conversations, sessions and messages).
 */
import type { DuetError } from './errors';

/** Which rules a conversation follows. */
export type ConversationKind = 'direct' | 'group' | 'support' | 'broadcast';

/** The stage of a support conversation; others are always `active`. */
export type ConversationStatus = 'queued' | 'active' | 'resolved' | 'closed';

/** What a user may do within the tenant. */
export type Role = 'visitor' | 'agent' | 'supervisor' | 'service';

/** What a user chose to be. */
export type Availability = 'online' | 'busy' | 'away' | 'offline';

/** What the server observes of a user. */
export type Connectivity = 'connected' | 'idle' | 'reconnecting' | 'offline' | 'reachable';

/** How safe a message must be before it counts as sent. `ephemeral` is not stored at all. */
export type Durability = 'ephemeral' | 'accepted' | 'mirrored';

/**
 * How far a message of one's own has come: in the outbox, on one disk, on two disks, held by at least one other
 * member, seen by at least one other member; or refused.
 */
export type MessageStatus = 'queued' | 'accepted' | 'mirrored' | 'delivered' | 'read' | 'failed';

/** What a card shows besides its texts; all of it hostile until drawn as text. */
export interface CardImage {
  /** Begins with `https:`. */
  readonly url: string;
  readonly alt: string;
  readonly width: number | undefined;
  readonly height: number | undefined;
}

/** A labelled value of a card; two `short` ones fit a line. */
export interface CardField {
  readonly label: string;
  readonly value: string;
  readonly short: boolean;
}

/** A button of a card: says something ({@link Conversation.choose}), or opens an `https:` address. */
export type CardButton =
  { readonly label: string; readonly value: string } | { readonly label: string; readonly url: string };

/** An answer that is offered for as long as the card is the last message. */
export interface QuickReply {
  readonly label: string;
  readonly value: string;
}

/** A structured message. */
export interface Card {
  /** What it says where cards are not known. */
  readonly fallback: string;
  readonly title?: string | undefined;
  readonly text?: string | undefined;
  readonly image?: CardImage | undefined;
  readonly fields?: readonly CardField[] | undefined;
  readonly buttons?: readonly CardButton[] | undefined;
  readonly quickReplies?: readonly QuickReply[] | undefined;
  /** In an answer to a card: the value that was chosen. */
  readonly reply?: string | undefined;
}

/** What was said. `other` carries the application's own formats (1024 and above) and binary data (2). */
export type Content =
  | { readonly format: 'text'; readonly text: string }
  | { readonly format: 'json'; readonly value: unknown }
  | { readonly format: 'card'; readonly card: Card }
  | { readonly format: 'other'; readonly number: number; readonly bytes: Uint8Array };

/** The authenticated user of a client. */
export interface Me {
  readonly tenant: string;
  readonly user: string;
  readonly name: string;
  readonly role: Role;
}

/** A user's presence, whole. */
export interface Presence {
  readonly user: string;
  /** What they chose. */
  readonly availability: Availability;
  /** What the server observes. */
  readonly connectivity: Connectivity;
  /** When they were last connected; 0 for never. */
  readonly lastSeen: number;
}

/** A member of a conversation. */
export interface Member {
  readonly user: string;
  /** What others see as their name. */
  readonly name: string;
  readonly role: Role;
  /** Holds every event up to this seq. */
  readonly received: number;
  /** Has seen every event up to this seq. */
  readonly read: number;
  /** Known only when the server has told. */
  readonly presence: Presence | undefined;
}

/** Who reacted how to a message. */
export interface Reaction {
  readonly emoji: string;
  /** User ids, in the order in which they reacted. */
  readonly users: readonly string[];
  /** Whether this client's user is among them. */
  readonly own: boolean;
}

/** A change of a message that this user has made and that is not accepted yet, or was refused (`error`). */
export interface PendingChange {
  /** For `retry` and `discard`. */
  readonly id: string;
  readonly type: 'edit' | 'delete' | 'react';
  readonly at: number;
  readonly error: DuetError | undefined;
}

/** A message, one's own or somebody else's. */
export interface Message {
  readonly kind: 'message';
  /**
   * The author's id of it, a UUIDv7; never changes, so it is the key of a list. A message that was deleted before it was loaded
   * has lost its id, and is called by its place.
   */
  readonly id: string;
  readonly conversation: string;
  /** Its place in the conversation's log; `undefined` until it is accepted, and for ephemeral messages. */
  readonly seq: number | undefined;
  /** When it was accepted; until then, when it was sent by the corrected local clock. */
  readonly at: number;
  /** The author's user id; empty until the client has learned its own. */
  readonly author: string;
  /** Whether this client's user wrote it. */
  readonly own: boolean;
  readonly content: Content;
  /** The words: a text, what a card says where cards are not known, else an empty string. */
  readonly text: string;
  /** When the content was last changed; `undefined`: never. */
  readonly edited: { readonly at: number } | undefined;
  /** The message is gone: it has no content. */
  readonly deleted: { readonly at: number; readonly by: string | undefined } | undefined;
  /** In the order in which each appeared first. */
  readonly reactions: readonly Reaction[];
  /** A note among staff: visitors never see it. */
  readonly private: boolean;
  /** One's own latest change that is not accepted yet; shown already unless it has failed. */
  readonly pending: PendingChange | undefined;
  /** The seq of the message to which it replies. */
  readonly replyTo: number | undefined;
  /** Meaningful for own messages; `accepted` for those of others. */
  readonly status: MessageStatus;
  /** On how many disks it was when the server acknowledged it to this page; `undefined` when that is not known. */
  readonly replicas: number | undefined;
  /** Why it failed. */
  readonly error: DuetError | undefined;
}

interface SystemEvent {
  readonly conversation: string;
  readonly seq: number;
  readonly at: number;
  /** Who caused it; `undefined` is the system. */
  readonly author: string | undefined;
}

/** The first event of every conversation. */
export interface ConversationCreated extends SystemEvent {
  readonly kind: 'created';
  readonly conversationKind: ConversationKind;
  readonly subject: string | undefined;
}

/** A new member. */
export interface MemberJoined extends SystemEvent {
  readonly kind: 'member.joined';
  readonly user: string;
  readonly name: string;
  readonly role: Role;
}

/** A member left. */
export interface MemberLeft extends SystemEvent {
  readonly kind: 'member.left';
  readonly user: string;
}

/** An anonymous visitor is known from now on: the member `before` is `user`. */
export interface MemberIdentified extends SystemEvent {
  readonly kind: 'member.identified';
  readonly before: string;
  readonly user: string;
  readonly name: string;
}

/** A support conversation has an agent. */
export interface ConversationAssigned extends SystemEvent {
  readonly kind: 'assigned';
  readonly agent: string;
}

/** A support conversation reached another stage. */
export interface StatusChanged extends SystemEvent {
  readonly kind: 'status.changed';
  readonly status: ConversationStatus;
}

/** Something that happened, told by a back end: a line without an author. */
export interface SystemTold extends SystemEvent {
  readonly kind: 'system';
  /** What happened, for programs. */
  readonly name: string;
  readonly content: Content;
  /** What happened, for people; empty where the content is no text. */
  readonly text: string;
}

/** One entry of a conversation's log, as a chat view shows it. */
export type TimelineEntry =
  | Message
  | ConversationCreated
  | MemberJoined
  | MemberLeft
  | MemberIdentified
  | ConversationAssigned
  | StatusChanged
  | SystemTold;

/** A page of the past, ascending. */
export interface HistoryPage {
  readonly entries: readonly TimelineEntry[];
  /** Whether there is more in the direction that was asked for. */
  readonly more: boolean;
}

/** Where a reader stands: holds every event up to `seq`, as known under the reign `epoch`. */
export interface Position {
  readonly epoch: number;
  readonly seq: number;
}

/** A conversation as a list shows it. */
export interface InboxEntry {
  readonly conversation: string;
  readonly kind: ConversationKind;
  readonly status: ConversationStatus;
  readonly subject: string | undefined;
  /** The responsible agent's user id. */
  readonly assignee: string | undefined;
  /** Seq of the last event. */
  readonly head: number;
  /** When the last event was accepted. */
  readonly activeAt: number;
  /** Up to where this user has read. */
  readonly read: number;
  /** Messages of others that this user has not read. */
  readonly unread: number;
  /** The first members, at most eight. */
  readonly members: readonly { readonly user: string; readonly name: string; readonly role: Role }[];
}
