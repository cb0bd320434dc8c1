/**
 * `@duet/client`: a Duet client for browsers, over WebTransport or WebSocket, resumable, without a dependency.
 *
 * Everything an application needs is exported here; the shapes are in `api.ts` and `values.ts`.
 */
import type { ClientOptions, DuetClient, Endpoint } from './api';

export type * from './api';
export type * from './values';
export { DuetError, UnauthorizedError } from './errors';
export { Code } from './protocol/reject';

/** A client of one user: `new Client('https://chat.example:4433', { getToken })`. */
export declare const Client: new (
  endpoints: Endpoint | readonly Endpoint[],
  options: ClientOptions,
) => DuetClient;
