/**
 * `@duet/client`: a Duet client for browsers, over WebTransport or WebSocket, resumable, without a dependency.
 *
 * Everything an application needs is exported here; the shapes are in `api.ts` and `values.ts`.
 */
export type * from './api';
export type * from './api-calls';
export type * from './values';
export { Client } from './client';
export { DuetError, ServiceFailure, UnauthorizedError } from './errors';
export { Code } from './protocol/reject';
