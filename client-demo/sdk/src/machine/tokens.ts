/**
 * The user's token: asked for when a connection needs one, refreshed at 80 % of its life, asked for anew when it was
 * refused. It is kept in memory only. A token that cannot be had does not end a session that can be resumed.
 */
import type { TokenReason } from '../api';
import { Code } from '../protocol/reject';
import type { Entropy, Out } from './effect';

const REFRESH_AT = 0.8;
const ANSWER_WITHIN_MS = 15_000;
const RETRY_MS = 10_000;
/** A token that ends sooner than this is not worth presenting. */
const MARGIN_MS = 5_000;

/** What is known about the token. */
export class Tokens {
  current: string | undefined;
  readonly #out: Out;
  readonly #entropy: Entropy;
  #askedFor: TokenReason | undefined;
  #answerBy: number | undefined;
  #refreshAt: number | undefined;
  /** Local time at which the current token ends. */
  #endsAt: number | undefined;
  /** The current token came in place of one that was refused, and no server has taken it yet. */
  #replacement = false;

  constructor(out: Out, entropy: Entropy) {
    this.#out = out;
    this.#entropy = entropy;
  }

  /** Whether an answer is awaited, and what for. */
  get pending(): TokenReason | undefined {
    return this.#askedFor;
  }

  /** Makes sure that there is a token to connect with, or that one is asked for. */
  prepare(now: number): void {
    const ended = this.#endsAt !== undefined && now > this.#endsAt - MARGIN_MS;
    if (this.current === undefined || ended) this.#ask(now, 'connect');
  }

  /** The token was refused: forgets it and asks anew. `false` when it had replaced one, so that asking is no use. */
  refused(now: number): boolean {
    const again = !this.#replacement;
    this.current = this.#endsAt = undefined;
    if (again) this.#ask(now, 'revoked');
    return again;
  }

  /** `token` arrived; returns what it was asked for. */
  arrived(token: string): TokenReason | undefined {
    const reason = this.#askedFor;
    this.current = token;
    this.#askedFor = this.#answerBy = this.#endsAt = undefined;
    this.#replacement = reason === 'revoked';
    return reason;
  }

  /** No token now; returns what it was asked for. */
  failed(now: number): TokenReason | undefined {
    const reason = this.#askedFor;
    this.#askedFor = this.#answerBy = undefined;
    if (reason === 'refresh') this.#refreshAt = now + RETRY_MS * (0.5 + this.#entropy.unit());
    return reason;
  }

  /** The server took the token; it ends in `lifeMs` (`undefined`: never). */
  accepted(now: number, lifeMs: number | undefined): void {
    this.#replacement = false;
    this.#endsAt = lifeMs === undefined ? undefined : now + lifeMs;
    this.#refreshAt = lifeMs === undefined ? undefined : now + Math.max(0, lifeMs) * REFRESH_AT;
  }

  /** The server says that the token has ended. */
  ended(now: number): void {
    if (this.#refreshAt !== undefined || this.#askedFor === undefined) this.#refreshAt = now;
  }

  /** The connection is gone: nothing to refresh. */
  rest(): void {
    this.#refreshAt = undefined;
  }

  /** Asks for a refresh when it is due; `true` when an answer is overdue. */
  tick(now: number): boolean {
    if (this.#refreshAt !== undefined && now >= this.#refreshAt && this.#askedFor === undefined) {
      this.#refreshAt = undefined;
      this.#ask(now, 'refresh');
    }
    return this.#answerBy !== undefined && now >= this.#answerBy;
  }

  deadline(): number | undefined {
    return this.#answerBy ?? this.#refreshAt;
  }

  #ask(now: number, reason: TokenReason): void {
    if (this.#askedFor !== undefined) return;
    this.#askedFor = reason;
    this.#answerBy = now + ANSWER_WITHIN_MS;
    this.#out.push({ type: 'getToken', reason });
  }
}

/** The `sub` of a JWT, unverified: only to notice that another user has signed in. `undefined` when it is unreadable. */
export function subjectOf(token: string): string | undefined {
  try {
    const payload = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
    const json = new TextDecoder().decode(Uint8Array.from(atob(payload), c => c.charCodeAt(0)));
    const claims: unknown = JSON.parse(json);
    if (typeof claims !== 'object' || claims === null || !('sub' in claims)) return undefined;
    return typeof claims.sub === 'string' ? claims.sub : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a code says that the token was not taken. */
export function isTokenCode(code: number): boolean {
  return code === Code.INVALID_TOKEN || code === Code.UNAUTHENTICATED || code === Code.TOKEN_EXPIRED;
}
