/** The opening of a connection: who the client is, what it speaks, what it may do. Twin of crates/protocol/src/hello.rs. */
import {
  bits64,
  bytes,
  openVariants,
  option,
  string,
  struct,
  u16,
  u32,
  u64,
  type Value,
  variants,
  vec,
} from './codec';
import { DeviceId, DisplayName, SessionId, TenantName, UserId } from './ids';

/** The protocol versions that this client speaks, best first. */
export const VERSIONS: readonly number[] = [1];
/** WebTransport and WebSocket subprotocol. */
export const SUBPROTOCOL = 'duet.v1';

/** The first frame on the control stream. */
export const Hello = struct({
  versions: vec(u16),
  /** A JWT. May be left out when `resume` is given. */
  token: option(string),
  /** The resume token of the last Welcome. */
  resume: option(bytes),
  device: DeviceId,
  /** Name and version of the SDK. */
  sdk: DisplayName,
  /** The highest epoch that the client has seen, 0 if none. */
  epochSeen: u64,
  /** Bit set of {@link capability}. */
  capabilities: bits64,
});
export type Hello = Value<typeof Hello>;

/** Optional features, negotiated by bits. */
export const capability = {
  /** The client can send and receive datagrams on this transport. */
  DATAGRAMS: 1n,
  /** The client inflates compressed frames. */
  DEFLATE: 1n << 1n,
  /** Changes of messages, private notes and system events. */
  AMENDMENTS: 1n << 8n,
  /** Calls to services. */
  CALLS: 1n << 9n,
  /** Conversations of kind `broadcast`. */
  BROADCASTS: 1n << 10n,
  /** The server knows `Activity` and `WatchMembers`. */
  PRESENCE: 1n << 16n,
  /** The server knows `Identify`. */
  IDENTIFY: 1n << 17n,
} as const;

/** What became of the session that a client asked to resume. */
export const Resumed = variants('new', 'full', 'none');
export type Resumed = Value<typeof Resumed>;

/** What a user may do within its tenant. */
export const Role = openVariants('visitor', 'visitor', 'agent', 'supervisor', 'service');
export type Role = Value<typeof Role>;

/** Numbers that the server sets and the client obeys. All sizes in bytes, all times in milliseconds. */
export const Limits = struct({
  messageBytesMax: u32,
  lanesMax: u32,
  streamsMax: u32,
  pingEveryMs: u32,
  idleTimeoutMs: u32,
  presenceGraceMs: u32,
  resumeWindowMs: u32,
  dedupWindowMs: u32,
  typingTtlMs: u32,
});
export type Limits = Value<typeof Limits>;

/** The answer to a Hello that was accepted. */
export const Welcome = struct({
  version: u16,
  session: SessionId,
  /** Shows the right to this session after a drop; secret. */
  resume: bytes,
  resumed: Resumed,
  tenant: TenantName,
  user: UserId,
  name: DisplayName,
  role: Role,
  node: DisplayName,
  epoch: u64,
  /** Further addresses (`host:port`) at which the same session can be resumed. */
  peers: vec(string),
  serverTimeMs: u64,
  /** 0 for never. */
  tokenExpiresMs: u64,
  capabilities: bits64,
  limits: Limits,
});
export type Welcome = Value<typeof Welcome>;
