/**
 * Ephemeral facts: small, versioned, whole each time, safe to lose, never logged. Twin of crates/protocol/src/signal.rs.
 *
 * They travel as datagrams where the transport has them. A receiver drops what has a version below the one it holds.
 */
import { bool, struct, u32, u64, type Value, variants } from './codec';
import { ConversationId, UserId } from './ids';

/** The user types, or has stopped. */
export const TypingSignal = struct({ conversation: ConversationId, version: u64, active: bool });
export type TypingSignal = Value<typeof TypingSignal>;

/** The user has left keyboard and screen alone, or is back. */
export const IdleSignal = struct({ version: u64, idle: bool });
export type IdleSignal = Value<typeof IdleSignal>;

/** How a user attends to one device. */
export const Activity = variants('active', 'idle', 'background');
export type Activity = Value<typeof Activity>;

/** How the user attends to this device, whole. */
export const ActivitySignal = struct({ version: u64, activity: Activity });
export type ActivitySignal = Value<typeof ActivitySignal>;

/** Somebody types; believe it for `ttlMs`, 0 means the user has stopped. */
export const TypingState = struct({ conversation: ConversationId, user: UserId, version: u64, ttlMs: u32 });
export type TypingState = Value<typeof TypingState>;
