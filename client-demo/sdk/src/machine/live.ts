/** The shapes of a connection: the live link, what its parent hears, and why it ends. */
import type { Transport } from '../api';
import type { DuetError } from '../errors';
import type { Welcome } from '../protocol/hello';
import type { Address } from './effect';

/** The link that carries the session. */
export interface Live {
  readonly link: number;
  readonly address: Address;
  readonly transport: Transport;
  readonly welcome: Welcome;
  readonly since: number;
}

/** What the parent does when the session comes and goes. */
export interface Session {
  welcomed(now: number, welcome: Welcome): void;
  lost(): void;
  /** Closed or failed: whoever waits is told. */
  ended(error: DuetError): void;
}

/** Why a connection ended or an attempt failed. */
export interface Cause {
  readonly code: number;
  readonly reason: string;
  readonly retryAfterMs?: number;
  readonly endpoint?: string | undefined;
}
