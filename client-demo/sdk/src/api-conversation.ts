/** The shape of a conversation: what it shows, and what can be said and changed in it. */
import type { ClientEvents } from './api';
import type {
  Content,
  ConversationKind,
  ConversationStatus,
  Durability,
  HistoryPage,
  Member,
  Message,
  MessageStatus,
  Position,
  QuickReply,
  TimelineEntry,
} from './values';

/** What is wanted of a subscription's beginning; one of the two. */
export interface SubscribeOptions {
  /** Begin with at most so many of the latest events, 0 to 500. */
  readonly latest?: number;
  /** Continue behind a position that the application has kept together with its own copy of the messages. */
  readonly after?: Position;
}

/** What is wanted of a message. */
export interface SendOptions {
  /** Default: the client's, else `accepted`. */
  readonly durability?: Durability;
  /** The seq of the message to which it replies. */
  readonly replyTo?: number;
}

/** What is wanted of a change. */
export interface ChangeOptions {
  /** Default: the client's, else `accepted`; not `ephemeral`. */
  readonly durability?: Exclude<Durability, 'ephemeral'>;
}

/** A change of a message on its way. */
export interface Changing {
  /** The change's id, the same through every retry and reload. */
  readonly id: string;
  /** Resolves when the server has accepted it, rejects when it was refused. Need not be awaited. */
  accepted(): Promise<void>;
}

/** A message on its way: the local echo, and what becomes of it. */
export interface Sent {
  /** The message's id, the same through every retry and reload. */
  readonly id: string;
  /** How far it is now. */
  readonly status: MessageStatus;
  /** The message as it is now. */
  readonly message: Message;
  /** Resolves when the server has accepted it, rejects when it failed. Need not be awaited. */
  accepted(): Promise<Message>;
}

/** One conversation. The same object for the same id. */
export interface Conversation {
  readonly id: string;
  readonly subscription: 'unsubscribed' | 'subscribing' | 'subscribed';
  /** `undefined` until the first subscription stands. */
  readonly kind: ConversationKind | undefined;
  readonly status: ConversationStatus | undefined;
  readonly subject: string | undefined;
  /** The responsible agent's user id. */
  readonly assignee: string | undefined;
  /** By join; empty for groups above 200. */
  readonly members: readonly Member[];
  readonly memberCount: number;
  /** Seq of the last event. */
  readonly head: number;
  /** Seq of the first event that is loaded: what is older is in history. 0 until the first subscription stands. */
  readonly first: number;
  /** Where this client stands. */
  readonly position: Position | undefined;
  /** Up to where this user has read. */
  readonly read: number;
  /** Messages of others that this user has not read. */
  readonly unread: number;
  /** User ids of the others who type now. */
  readonly typists: readonly string[];
  /** What is loaded, ascending, own messages that are not accepted yet at its end. At most 2,000 entries. */
  readonly timeline: readonly TimelineEntry[];
  /** The messages of {@link timeline}. */
  readonly messages: readonly Message[];
  /** The message with this id, if it is loaded. */
  message(id: string): Message | undefined;

  /** Shows the conversation: resolves when the backlog is there; keeps itself up to date until `unsubscribe`. */
  subscribe(options?: SubscribeOptions): Promise<void>;
  unsubscribe(): void;
  /**
   * Queues a message and returns at once; works while disconnected. Throws `outbox_full` or `too_large`.
   * A string is text.
   */
  send(content: string | Content, options?: SendOptions): Sent;
  /** Staff: as `send`, but visitors never see it. */
  note(content: string | Content, options?: SendOptions): Sent;
  /** Answers a card: says what one of its buttons or quick replies stands for. */
  choose(card: Message, choice: QuickReply): Sent;
  /**
   * Changes what an own message says (supervisors: anybody's). Shown at once; works while disconnected. `seq` is the message's place,
   * so it must have been accepted.
   */
  edit(seq: number, content: string | Content, options?: ChangeOptions): Changing;
  /** Takes a message away, for everybody and for good. */
  delete(seq: number, options?: ChangeOptions): Changing;
  /** Adds this user's reaction to a message, or (`on` false) takes it back. */
  react(seq: number, emoji: string, on?: boolean): Changing;
  /** Tries a failed message or change again: as the same one where that is safe, else as a new one. */
  retry(id: string): void;
  /** Takes a failed message or change out of the outbox. */
  discard(id: string): void;
  /** A page of the past; `limit` 1 to 500, default 50. A page that adjoins {@link timeline} is added to it. */
  history(options?: {
    readonly before?: number;
    readonly after?: number;
    readonly limit?: number;
  }): Promise<HistoryPage>;
  /** The user has seen every event up to `seq` (default: the last one). Never goes back. */
  markRead(seq?: number): void;
  readonly typing: {
    /** Call on every keystroke; what leaves the machine is limited to what is needed. */
    keystroke(): void;
    stop(): void;
  };

  /** Staff: makes an agent responsible; without a name, oneself. Rejects with `conflict` when another was first. */
  assign(agent?: string): Promise<void>;
  /** Staff: the conversation is dealt with. */
  resolve(): Promise<void>;
  /** Ends the conversation for good. */
  close(): Promise<void>;
  addMembers(users: readonly string[]): Promise<void>;
  removeMember(user: string): Promise<void>;

  /** Like the client's `on`, for events of this conversation only. Returns the way to stop. */
  on<K extends ConversationEvent>(event: K, listener: (data: ClientEvents[K]) => void): () => void;
}

/** Events that belong to one conversation. */
export type ConversationEvent =
  | 'message.created'
  | 'message.updated'
  | 'message.status'
  | 'receipt.updated'
  | 'typing.started'
  | 'typing.stopped'
  | 'conversation.updated'
  | 'discontinuity';
