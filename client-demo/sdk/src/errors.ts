/**
 * Errors that an application meets: one class with the protocol's code, its stable name and its retry advice, and the
 * one that `getToken` throws to say that there will be no token.
 */
import { codeName, codeSentence, isRetryable } from './protocol/reject';

/** Something was refused, or could not be done. `code` is the protocol's number (below 100: made by this client). */
export class DuetError extends Error {
  /** The protocol's number; see docs/protocol.md. */
  readonly code: number;
  /** Whether the same thing may succeed later. */
  readonly retryable: boolean;
  /** Wait at least this long before the next try, milliseconds; 0 if waiting does not help. */
  readonly retryAfterMs: number;

  constructor(code: number, message?: string, retryAfterMs = 0) {
    super(message === undefined || message === '' ? codeSentence(code) : message);
    this.code = code;
    this.name = codeName(code);
    this.retryable = isRetryable(code);
    this.retryAfterMs = retryAfterMs;
  }
}

/** A service's own no to a call; thrown by a method that is served, it is what the caller gets. */
export class ServiceFailure extends DuetError {
  /** The application's number, none of Duet's. */
  readonly failure: number;

  constructor(failure: number, message: string) {
    super(0, message);
    this.name = 'service_failure';
    this.failure = failure;
  }
}

/** Thrown by `getToken` when the user may not connect at all: the client goes to `failed` and stays there. */
export class UnauthorizedError extends Error {
  constructor(message = 'the user may not connect') {
    super(message);
    this.name = 'UnauthorizedError';
  }
}
