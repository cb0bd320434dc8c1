/**
 * The shape of the SDK: options, events, and what a client, a conversation, an inbox and a chat can do.
 *
 * Promises of the whole surface: callbacks run in order, one at a time, never inside a call of the application; a
 * callback that throws does not stop the others; whatever rejects does so with a `DuetError`.
 */
import type { Calls } from './api-calls';
import type { Conversation } from './api-conversation';
import type { DuetError } from './errors';
import type {
  Availability,
  ConversationKind,
  Durability,
  InboxEntry,
  Me,
  Message,
  MessageStatus,
  Position,
  Presence,
  TimelineEntry,
} from './values';

export type * from './api-conversation';

/**
 * Where a server listens: `https://host:port` (a bare `host:port` means the same), or the two carriers apart, which
 * a development set-up with a self-signed certificate needs.
 */
export type Endpoint =
  | string
  | {
      /** `https://host:port`; WebTransport is at `/duet/v1`, WebSocket at `/duet/v1/ws`, and so on. */
      readonly url: string;
      /** Another full address for WebSocket (`ws://` or `wss://`); `false` switches it off. */
      readonly webSocket?: string | false;
      /** `false` switches WebTransport off. */
      readonly webTransport?: false;
      /** Another full address below which `sse`, `poll` and `send` are; `false` switches both off. */
      readonly http?: string | false;
    };

/** A SHA-256 of a server certificate: bytes, 64 hexadecimal digits, or base64. */
export type CertificateHash = string | Uint8Array;

/** Why a token is asked for. `revoked`: the previous one was refused. */
export type TokenReason = 'connect' | 'refresh' | 'revoked';

/** What the application tells the client. Only `getToken` is needed. */
export interface ClientOptions {
  /**
   * Brings a JWT for the user. Throw {@link UnauthorizedError} when there will be none (the client fails for good);
   * any other error means "try again later".
   */
  readonly getToken: (request: { readonly reason: TokenReason }) => Promise<string> | string;
  /**
   * Separates clients of one page or origin from each other: its session, device and outbox are kept under this name.
   * Two clients of one page need two names. Default `default`.
   */
  readonly namespace?: string;
  /** Certificates that WebTransport trusts besides the public authorities; asked for anew at every connection. */
  readonly serverCertificateHashes?:
    readonly CertificateHash[] | (() => Promise<readonly CertificateHash[]> | readonly CertificateHash[]);
  /**
   * The carriers that may be used. Default: all, each next one a little behind the better one; without WebTransport on
   * WebKit, where it stalls. What is named here is used everywhere.
   */
  readonly transports?: readonly Transport[];
  /** Makes WebSockets where there is no global one, as in Node before 22: that of `ws`, for example. */
  readonly webSocket?: new (url: string, protocol: string) => WebSocket;
  /**
   * Hosts to which a server may send the client, besides those of the endpoints and their siblings
   * (`a.chat.example.org` and `b.chat.example.org`). Others are not followed.
   */
  readonly hosts?: readonly string[];
  /**
   * How safe a message must be unless its `send` says otherwise. Default `accepted`. `mirrored` demands both nodes; where
   * that cannot be had the message fails with `not_durable_now` (1140) and can be retried.
   */
  readonly durability?: Durability;
  /** How many of the latest events a subscription begins with. Default 50, at most 500. */
  readonly backlog?: number;
  /** Most messages that wait to be sent. Default 500. */
  readonly outboxMessagesMax?: number;
  /** Most bytes of content that wait to be sent. Default 4 MiB. */
  readonly outboxBytesMax?: number;
  /** `false` keeps session and outbox in memory only: nothing survives a reload. Default `true`. */
  readonly persist?: boolean;
  /**
   * For an application that keeps messages itself: where it stands in a conversation that is about to be shown, however it lost
   * this page before (reload, kill, another device's copy). The subscription then goes on behind that position instead of with
   * the latest events; what it lacks comes as `message.created` with `live` false, without a hole, or `discontinuity` says that
   * the application's copy must be discarded. `undefined`: it has nothing. Not asked when `subscribe` says where to begin.
   */
  readonly getState?: (request: {
    readonly conversation: string;
  }) => Promise<Position | undefined> | Position | undefined;
}

/** The life of a client; see {@link StateChange}. */
export type ClientState =
  | 'disconnected' /** not asked to connect yet */
  | 'connecting' /** never connected so far; retries by itself */
  | 'connected'
  | 'reconnecting' /** was connected; the session can still be resumed */
  | 'suspended' /** gone for longer than the resume window; still retrying */
  | 'closed' /** by the application */
  | 'failed'; /** for good: `code` says why */

/** Which carrier a connection uses, best first: server-sent events and long polling are for networks that break WebSockets. */
export type Transport = 'webtransport' | 'websocket' | 'sse' | 'poll';

/** The state changed, or (`previous` = `current`) another try failed. */
export interface StateChange {
  readonly current: ClientState;
  readonly previous: ClientState;
  /** The code that caused it; 0 when nothing went wrong. */
  readonly code: number;
  readonly reason: string;
  /** Milliseconds until the next try; `undefined` when none is planned. */
  readonly retryIn: number | undefined;
  readonly transport: Transport | undefined;
  /** The node's name. */
  readonly node: string | undefined;
  /** Where the connection leads. */
  readonly endpoint: string | undefined;
  /** The highest reign of a primary that was seen; 0 before the first connection. */
  readonly epoch: number;
  /**
   * When connected, what became of the session and of the conversations that are shown; `undefined` for the first connection
   * of a session. `full` first means that the session goes on; should a conversation then tell that something is missing, the
   * same state is told again with `partial`.
   */
  readonly resumed: ResumeOutcome | undefined;
  /** With `partial`: the conversations of which events are missing; each has had its `discontinuity`. */
  readonly missing: readonly string[];
}

/**
 * `full`: the session goes on, without a hole. `partial`: it goes on, but some conversations have begun anew. `none`: it is
 * gone, and this is a new one of the same user; each conversation goes on from its position all the same, or says that it cannot.
 */
export type ResumeOutcome = 'full' | 'partial' | 'none';

/** What became of a session. */
export interface Resumption {
  readonly outcome: ResumeOutcome;
  readonly missing: readonly string[];
}

/** What is known about the connection. */
export interface ConnectionInfo {
  readonly transport: Transport | undefined;
  /** Round trip in milliseconds, smoothed; `undefined` until measured. */
  readonly rtt: number | undefined;
  /** The reign of the primary; 0 until connected. */
  readonly epoch: number;
  /** On how many disks the last acknowledged message was; 1 in a pair means that one node is alone. */
  readonly replicas: number | undefined;
  readonly node: string | undefined;
  readonly session: string | undefined;
  readonly endpoint: string | undefined;
  /** Milliseconds to add to the local clock to get the server's. */
  readonly clockOffset: number;
  /** Whether the server takes edits, deletions, reactions and notes; `false` before the first connection. */
  readonly amendments: boolean;
}

/** Everything a client tells, by name. */
export interface ClientEvents {
  state: StateChange;
  /** A message of a subscribed conversation, one's own echo included; `live` is false for the backlog. */
  'message.created': { readonly conversation: string; readonly message: Message; readonly live: boolean };
  /**
   * A loaded message was edited, deleted or reacted to; one's own change is told at once, and again when it is accepted or refused
   * (`message.pending` says how it stands). `live` is false for the backlog.
   */
  'message.updated': {
    readonly conversation: string;
    readonly message: Message;
    readonly change: 'edited' | 'deleted' | 'reacted';
    readonly by: string | undefined;
    readonly live: boolean;
  };
  /** An own message came further, or failed. */
  'message.status': {
    readonly conversation: string;
    readonly id: string;
    readonly status: MessageStatus;
    readonly message: Message;
    readonly error: DuetError | undefined;
  };
  /** An own change of the message at `target` was queued, accepted, or refused; `retry` and `discard` take its `id`. */
  'change.status': {
    readonly conversation: string;
    readonly id: string;
    readonly target: number;
    readonly status: 'queued' | 'accepted' | 'failed';
    readonly error: DuetError | undefined;
  };
  /** A member has received or read more. */
  'receipt.updated': {
    readonly conversation: string;
    readonly user: string;
    readonly received: number;
    readonly read: number;
  };
  'typing.started': { readonly conversation: string; readonly user: string };
  'typing.stopped': { readonly conversation: string; readonly user: string };
  'presence.updated': Presence;
  /** Members, status, assignee, subscription or unread count changed; `entry` is the log entry that did it, if one did. */
  'conversation.updated': { readonly conversation: string; readonly entry: TimelineEntry | undefined };
  /** The list changed: `entry` is new or changed, or (`undefined`) `conversation` left it. */
  'inbox.updated': { readonly conversation: string; readonly entry: InboxEntry | undefined };
  /** Events are missing for good, or the session was lost: what is shown was discarded and begins anew. */
  discontinuity: { readonly conversation: string | undefined; readonly reason: string };
  'token.refreshed': { readonly expires: number };
  /** Something went wrong that no call of the application can report. */
  error: DuetError;
}

/** The list of the user's conversations; of staff, with the tenant's support conversations. */
export interface Inbox {
  readonly watching: boolean;
  /** Latest activity first. */
  readonly list: readonly InboxEntry[];
  /** Sum of all unread counts. */
  readonly unread: number;
  /** Resolves when the list is complete; it then stays up to date through reconnects. */
  watch(): Promise<void>;
  unwatch(): void;
}

/** A visitor's one conversation with the tenant's staff. */
export interface Chat {
  /** The conversation, if one was started on this device and has not ended. */
  readonly conversation: Conversation | undefined;
  /** Starts it, or goes on with the one that was started before: however often it is called, there is one. */
  start(options?: { readonly subject?: string }): Promise<Conversation>;
  /** Ends it; the next `start` begins a new one. */
  end(): Promise<void>;
}

/** Presence of other users. */
export interface PresenceWatch {
  /** What is known of a user, if anything. */
  get(user: string): Presence | undefined;
  /** Adds users to those whose presence is followed (200 at most). */
  watch(users: readonly string[]): Promise<void>;
  unwatch(users: readonly string[]): Promise<void>;
}

/** What the user chose to be, for all their devices. */
export interface AvailabilityControl {
  /** What was set by this client, if anything was. */
  readonly current: Availability | undefined;
  set(availability: Availability): Promise<void>;
  /** The user left keyboard and screen alone, or is back. Browsers report it by themselves. */
  idle(idle: boolean): void;
}

/** What `createConversation` needs. `id` makes it idempotent: the same id again is the same conversation. */
export interface NewConversation {
  readonly kind: ConversationKind;
  readonly subject?: string;
  /** Other members: exactly one for `direct`, any for `group`, none for `support`. */
  readonly members?: readonly string[];
  readonly id?: string;
}

/** A client of one user. */
export interface DuetClient extends Calls {
  readonly state: ClientState;
  /** Known once connected. */
  readonly me: Me | undefined;
  readonly info: ConnectionInfo;
  readonly conversations: Inbox;
  readonly chat: Chat;
  readonly presence: PresenceWatch;
  readonly availability: AvailabilityControl;
  /** Begins to connect, and keeps at it. While it waits for its next try, it tries at once. */
  connect(): void;
  /** Connects if need be; resolves when connected, rejects when that has failed for good. */
  ready(): Promise<void>;
  /** Ends the session: the user is not expected back. Unsent messages stay in the outbox. */
  close(): Promise<void>;
  conversation(id: string): Conversation;
  createConversation(options: NewConversation): Promise<Conversation>;
  /** Returns the way to stop. */
  on<K extends keyof ClientEvents>(event: K, listener: (data: ClientEvents[K]) => void): () => void;
  once<K extends keyof ClientEvents>(event: K, listener: (data: ClientEvents[K]) => void): () => void;
  off<K extends keyof ClientEvents>(event: K, listener: (data: ClientEvents[K]) => void): void;
}
