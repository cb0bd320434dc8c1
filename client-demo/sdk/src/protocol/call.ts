/**
 * Calls: a question to a back end over the connection that is there anyway, and its answer. Ephemeral: never stored, never
 * repeated by the server. Twin of crates/protocol/src/call.rs.
 */
import { bytes, string, struct, tagged, u16, u32, u64, type Value, vec } from './codec';
import { Role } from './hello';
import { Label, UserId } from './ids';

/** Why a service did not answer a call: the application's own number, and a sentence for people. */
export const Failure = struct({ code: u16, message: string });
export type Failure = Value<typeof Failure>;

/** What came of a call that reached its service. */
export const Outcome = tagged({ returned: bytes, failed: Failure });
export type Outcome = Value<typeof Outcome>;

/** Replaces the list of methods that this connection serves, at most 64. */
export const Serve = struct({ request: u32, methods: vec(Label) });
/** Asks whoever serves `method`; `timeoutMs` 1 to 60,000. */
export const Call = struct({ request: u32, method: Label, body: bytes, timeoutMs: u32 });
/** A service's answer; one that comes too late is dropped. */
export const Answer = struct({ call: u64, outcome: Outcome });

/** A question for a service. */
export const CallAsked = struct({
  call: u64,
  user: UserId,
  role: Role,
  method: Label,
  body: bytes,
  timeoutMs: u32,
});
export type CallAsked = Value<typeof CallAsked>;

/** The answer to a Call. */
export const Answered = struct({ request: u32, outcome: Outcome });
/** Nobody waits for an answer to this call any more. */
export const CallEnded = struct({ call: u64 });
