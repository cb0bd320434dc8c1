/** The shape of calls: a question to the tenant's back end, and what a back end gets and gives. */
import type { Role } from './values';

/** What a service said, or was asked: bytes whose meaning both sides agree on. */
export interface CallAnswer {
  readonly bytes: Uint8Array;
  /** The bytes as JSON; throws when they are none. */
  json(): unknown;
}

/** What is wanted of a call. */
export interface CallOptions {
  /** How long to wait for the answer, milliseconds: 1 to 60,000, default 10,000. */
  readonly timeoutMs?: number;
}

/** A question for a service. Who asks is known to the server, whatever the question says. */
export interface CallQuestion extends CallAnswer {
  readonly user: string;
  readonly role: Role;
  readonly method: string;
  readonly timeoutMs: number;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** Methods by name. What one returns is the answer (bytes, or anything that has JSON); a `ServiceFailure` that it throws is told. */
export type ServedMethods = Readonly<Record<string, (question: CallQuestion) => unknown>>;

/** Questions over the connection that is there anyway. Never stored, never repeated: each comes to exactly one end. */
export interface Calls {
  /**
   * Asks whoever serves `method`. Rejects with a `ServiceFailure` when the service says no, with `no_service` (1152),
   * `call_timeout` (1153) or `service_gone` (1154) when there was no answer; after the last two it may have been carried out.
   */
  call(method: string, question: unknown, options?: CallOptions): Promise<CallAnswer>;
  /** For a `service`: answers these methods from now on, and no others; on every connection. */
  serve(methods: ServedMethods): Promise<void>;
}
