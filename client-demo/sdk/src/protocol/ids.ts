/**
 * Names and numbers that both sides use, each checked once, where it enters. Twin of crates/protocol/src/ids.rs.
 *
 * UUIDs (conversations, sessions, messages) are strings in their usual lower-case form here and 16 raw bytes on the wire.
 */
import { type Codec, CodecError, struct, text, u64, type Value } from './codec';

/** A customer company, the root of isolation. */
export const TenantName = text(name(32, /^[a-z0-9-]+$/, 'a tenant must be 1 to 32 of a-z, 0-9 and -'));
/** A person or bot of a tenant. */
export const UserId = text(
  name(64, /^\P{Cc}+$/u, 'a user id must be 1 to 64 bytes without control characters'),
);
/** One installation of a client. */
export const DeviceId = text(
  name(64, /^[A-Za-z0-9_.:-]+$/, 'a device id must be 1 to 64 of letters, digits, - _ . :'),
);
/** What people call a user, a subject line, a software name: shown, never compared. */
export const DisplayName = text(
  name(128, /^\P{Cc}+$/u, 'a name must be 1 to 128 bytes without control characters'),
);

/** What programs call a kind of system event or a method: compared byte for byte, not shown. */
export const Label = text(
  name(64, /^[A-Za-z0-9_.:-]+$/, 'a label must be 1 to 64 of letters, digits, - _ . :'),
);
/** A reaction: one emoji, which may be several code points, or a short word. */
export const Emoji = text(
  name(64, /^\P{Cc}+$/u, 'an emoji must be 1 to 64 bytes without control characters'),
);

/** A UUID. */
export const Uuid: Codec<string> = {
  write: (out, value) => {
    out.raw(parseUuid(value));
  },
  read: input => formatUuid(input.raw(16)),
};

/** A conversation: a UUID chosen by who creates it, so that creating twice makes one. */
export const ConversationId = Uuid;
/** A user's logical presence on one device; it outlives connections. */
export const SessionId = Uuid;
/** The client's own id of a message: a UUIDv7 (RFC 9562 §5.7), kept through every retry. */
export const ClientMessageId = Uuid;

/** Where a reader stands: `seq` events of a conversation received, under the reign `epoch`. */
export const Position = struct({ epoch: u64, seq: u64 });
export type Position = Value<typeof Position>;

/** The UUIDv7 made of Unix milliseconds and ten random bytes (six of their bits are overwritten). */
export function newMessageId(unixMs: number, random: Uint8Array): string {
  const bytes = new Uint8Array(16);
  let rest = Math.max(0, Math.floor(unixMs));
  for (let i = 5; i >= 0; i--, rest = Math.floor(rest / 256)) bytes[i] = rest % 256;
  bytes.set(random.subarray(0, 10), 6);
  return formatUuid(stamped(bytes, 0x70));
}

/** The UUIDv4 made of sixteen random bytes. */
export function randomUuid(random: Uint8Array): string {
  const bytes = new Uint8Array(16);
  bytes.set(random.subarray(0, 16));
  return formatUuid(stamped(bytes, 0x40));
}

/** The Unix milliseconds within a message id, or `undefined` when it is no UUIDv7. */
export function messageIdTime(id: string): number | undefined {
  const bytes = parseUuid(id);
  if ((bytes[6] ?? 0) >> 4 !== 7 || (bytes[8] ?? 0) >> 6 !== 0b10) return undefined;
  return bytes.subarray(0, 6).reduce((ms, byte) => ms * 256 + byte, 0);
}

/** Whether `value` is a UUID; hyphens are optional. */
export function isUuid(value: string): boolean {
  return /^[0-9a-fA-F]{32}$/.test(value.replaceAll('-', ''));
}

/** The usual form of a UUID: lower case, with hyphens. Throws {@link CodecError} for anything else. */
export function canonicalUuid(value: string): string {
  return formatUuid(parseUuid(value));
}

function parseUuid(value: string): Uint8Array {
  if (!isUuid(value)) throw new CodecError('not a UUID');
  const digits = value.replaceAll('-', '');
  return Uint8Array.from({ length: 16 }, (_, i) => parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}

function formatUuid(bytes: Uint8Array): string {
  const digits = Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('');
  return [8, 12, 16, 20, 32].map((end, i, ends) => digits.slice(ends[i - 1] ?? 0, end)).join('-');
}

/** Sets the version (high nibble of byte 6) and the variant. */
function stamped(bytes: Uint8Array, version: number): Uint8Array {
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | version;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes;
}

function name(maxBytes: number, allowed: RegExp, rule: string): (value: string) => string | undefined {
  return value =>
    allowed.test(value) && new TextEncoder().encode(value).length <= maxBytes ? undefined : rule;
}
