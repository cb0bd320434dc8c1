/**
 * Codes: one number for each way in which something is refused or ended, with its name and what to do about it.
 * Twin of crates/protocol/src/reject.rs.
 *
 * The range says how a client reacts, so that an old one behaves well with a new code: below 100 made by the client ·
 * 1000–1999 a request was refused, the connection stays · 2000–2499 unsubscribed for good · 2500–2999 subscribe again ·
 * 3000–3399 reconnect with backoff · 3400–3499 reconnect now, to the named node · 3500–3999 do not reconnect.
 */

/** The known codes by name. */
export const Code = {
  /** No answer in time. */
  TIMEOUT: 1,
  /** The connection broke. */
  TRANSPORT_CLOSED: 2,
  /** No transport could reach the server. */
  UNREACHABLE: 3,
  /** Too many messages wait to be sent. */
  OUTBOX_FULL: 4,
  /** The message waited too long to be sent safely; send it again as a new one. */
  OUTBOX_EXPIRED: 5,
  /** The client was closed. */
  CLOSED_BY_USER: 6,
  /** The request makes no sense as it is. */
  BAD_REQUEST: 1100,
  /** A token is missing, wrong or of another user. */
  UNAUTHENTICATED: 1101,
  /** The user may not do this. */
  FORBIDDEN: 1103,
  /** There is no such thing for this user. */
  NOT_FOUND: 1104,
  /** The token has ended; present a fresh one. */
  TOKEN_EXPIRED: 1109,
  /** Too much at once; wait as long as the answer says. */
  RATE_LIMITED: 1111,
  /** The conversation takes no more messages. */
  CONVERSATION_CLOSED: 1120,
  /** Somebody else was first, or the conversation is at another stage. */
  CONFLICT: 1121,
  /** The message id is too old to tell whether it was accepted before; send it again as a new message. */
  DUPLICATE_UNKNOWN: 1125,
  /** The message id was used for another message. */
  DUPLICATE_DIFFERS: 1126,
  /** The message id lies in the future; correct the clock by the server's time. */
  CLOCK_SKEW: 1127,
  /** Larger than the limit allows. */
  TOO_LARGE: 1130,
  /** A limit on number is reached. */
  LIMIT_REACHED: 1131,
  /** The second node is away; ask for less or wait. */
  NOT_DURABLE_NOW: 1140,
  /** The server cannot store anything now. */
  READ_ONLY: 1141,
  /** The server cannot read this now; try again. */
  UNAVAILABLE: 1142,
  /** There is no message at that place. */
  NOT_A_MESSAGE: 1150,
  /** The message was deleted. */
  MESSAGE_DELETED: 1151,
  /** Nobody serves this method now. */
  NO_SERVICE: 1152,
  /** The service did not answer in time. */
  CALL_TIMEOUT: 1153,
  /** The service left before it answered; it may have done what was asked. */
  SERVICE_GONE: 1154,
  /** Only an anonymous visitor can be identified, and only as a visitor who is not. */
  NOT_ANONYMOUS: 1160,
  /** The client asked for it, or an operator did. */
  UNSUBSCRIBED: 2000,
  /** The user is no longer a member. */
  ACCESS_REVOKED: 2001,
  /** The server lost track of the subscription. */
  INSUFFICIENT_STATE: 2500,
  /** The server stops. */
  SHUTDOWN: 3001,
  /** The server met a defect or a full disk. */
  INTERNAL: 3004,
  /** The client reads too slowly. */
  SLOW: 3008,
  /** The client fell silent. */
  NO_PONG: 3012,
  /** The server has too much to do. */
  OVERLOADED: 3013,
  /** This node does not know the carrier; open another and resume. */
  CARRIER_GONE: 3014,
  /** The server is about to stop; another node goes on. */
  DRAIN: 3400,
  /** Another node serves now. */
  NOT_PRIMARY: 3401,
  /** The token is not accepted. */
  INVALID_TOKEN: 3500,
  /** The bytes broke the protocol. */
  PROTOCOL_ERROR: 3501,
  /** Pages of this origin may not connect. */
  FORBIDDEN_ORIGIN: 3502,
  /** An operator closed the session. */
  FORCED: 3503,
  /** The user has too many connections. */
  CONNECTION_LIMIT: 3504,
  /** No common protocol version. */
  UNSUPPORTED_VERSION: 3506,
  /** The token, the session or the user was revoked. */
  REVOKED: 3510,
  /** The same session connected again elsewhere. */
  REPLACED: 3511,
} as const;
/** Every known code: number, name, whether the same thing may succeed later, sentence. */
export const CODES: readonly (readonly [number, string, boolean, string])[] = [
  [1, 'timeout', true, 'No answer in time.'],
  [2, 'transport_closed', true, 'The connection broke.'],
  [3, 'unreachable', true, 'No transport could reach the server.'],
  [4, 'outbox_full', false, 'Too many messages wait to be sent.'],
  [5, 'outbox_expired', false, 'The message waited too long to be sent safely; send it again as a new one.'],
  [6, 'closed_by_user', false, 'The client was closed.'],
  [1100, 'bad_request', false, 'The request makes no sense as it is.'],
  [1101, 'unauthenticated', false, 'A token is missing, wrong or of another user.'],
  [1103, 'forbidden', false, 'The user may not do this.'],
  [1104, 'not_found', false, 'There is no such thing for this user.'],
  [1109, 'token_expired', true, 'The token has ended; present a fresh one.'],
  [1111, 'rate_limited', true, 'Too much at once; wait as long as the answer says.'],
  [1120, 'conversation_closed', false, 'The conversation takes no more messages.'],
  [1121, 'conflict', false, 'Somebody else was first, or the conversation is at another stage.'],
  [
    1125,
    'duplicate_unknown',
    false,
    'The message id is too old to tell whether it was accepted before; send it again as a new message.',
  ],
  [1126, 'duplicate_differs', false, 'The message id was used for another message.'],
  [1127, 'clock_skew', false, "The message id lies in the future; correct the clock by the server's time."],
  [1130, 'too_large', false, 'Larger than the limit allows.'],
  [1131, 'limit_reached', false, 'A limit on number is reached.'],
  [1140, 'not_durable_now', true, 'The second node is away; ask for less or wait.'],
  [1141, 'read_only', true, 'The server cannot store anything now.'],
  [1142, 'unavailable', true, 'The server cannot read this now; try again.'],
  [1150, 'not_a_message', false, 'There is no message at that place.'],
  [1151, 'message_deleted', false, 'The message was deleted.'],
  [1152, 'no_service', true, 'Nobody serves this method now.'],
  [1153, 'call_timeout', true, 'The service did not answer in time.'],
  [1154, 'service_gone', true, 'The service left before it answered; it may have done what was asked.'],
  [
    1160,
    'not_anonymous',
    false,
    'Only an anonymous visitor can be identified, and only as a visitor who is not.',
  ],
  [2000, 'unsubscribed', false, 'The client asked for it, or an operator did.'],
  [2001, 'access_revoked', false, 'The user is no longer a member.'],
  [2500, 'insufficient_state', true, 'The server lost track of the subscription.'],
  [3001, 'shutdown', true, 'The server stops.'],
  [3004, 'internal', true, 'The server met a defect or a full disk.'],
  [3008, 'slow', true, 'The client reads too slowly.'],
  [3012, 'no_pong', true, 'The client fell silent.'],
  [3013, 'overloaded', true, 'The server has too much to do.'],
  [3014, 'carrier_gone', true, 'This node does not know the carrier; open another and resume.'],
  [3400, 'drain', true, 'The server is about to stop; another node goes on.'],
  [3401, 'not_primary', true, 'Another node serves now.'],
  [3500, 'invalid_token', false, 'The token is not accepted.'],
  [3501, 'protocol_error', false, 'The bytes broke the protocol.'],
  [3502, 'forbidden_origin', false, 'Pages of this origin may not connect.'],
  [3503, 'forced', false, 'An operator closed the session.'],
  [3504, 'connection_limit', false, 'The user has too many connections.'],
  [3506, 'unsupported_version', false, 'No common protocol version.'],
  [3510, 'revoked', false, 'The token, the session or the user was revoked.'],
  [3511, 'replaced', false, 'The same session connected again elsewhere.'],
];

/** The code's name in lower case, or `unknown`. */
export function codeName(code: number): string {
  return row(code)?.[1] ?? 'unknown';
}

/** A sentence that a person can act on. */
export function codeSentence(code: number): string {
  return row(code)?.[3] ?? 'No description is known for this code.';
}

/** Whether the same thing may succeed later. */
export function isRetryable(code: number): boolean {
  return row(code)?.[2] ?? (code >= 2500 && code <= 3499);
}

/** Whether a client that was closed with this code must not come back by itself. */
export function isTerminal(code: number): boolean {
  return code >= 3500 && code <= 3999;
}

/** Whether a code was made by the client: the server has not spoken. */
export function isLocal(code: number): boolean {
  return code < 100;
}

function row(code: number): readonly [number, string, boolean, string] | undefined {
  return CODES.find(([number]) => number === code);
}
