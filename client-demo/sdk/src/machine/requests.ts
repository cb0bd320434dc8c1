/**
 * Requests with a number and an answer. Bounded in number; each has a deadline.
 *
 * One that may be repeated without harm waits for a connection and is sent again on the next one; the others are refused
 * when the connection breaks, because nobody knows whether they were carried out.
 */
import { DuetError } from '../errors';
import type { Command } from '../protocol/command';
import { Code } from '../protocol/reject';
import { earlier, type Out } from './effect';

/** Most requests at once; more are refused with `limit_reached`. */
const REQUESTS_MAX = 128;
/** How long a request may take, waiting for a connection included, milliseconds. */
const ANSWER_WITHIN_MS = 30_000;
/** Most pages that are asked for at once, by the protocol. */
const BULK_MAX = 4;

/** What becomes of a request. */
export interface Outcome {
  done(value: unknown): void;
  refused(error: DuetError): void;
}

interface Request extends Outcome {
  readonly build: (request: number) => Command;
  readonly bulk: boolean;
  readonly repeatable: boolean;
  readonly deadline: number;
  sent: boolean;
}

/** The requests of a client that are not answered yet. */
export class Requests {
  readonly #out: Out;
  readonly #open = new Map<number, Request>();
  #last = 0;

  constructor(out: Out) {
    this.#out = out;
  }

  /** Asks; the command is built with the request's number. Bulk requests leave on the lane that {@link flush} is given. */
  ask(
    now: number,
    build: (request: number) => Command,
    outcome: Outcome,
    options: { readonly bulk?: boolean; readonly repeatable?: boolean; readonly withinMs?: number } = {},
  ): void {
    if (this.#open.size >= REQUESTS_MAX) {
      outcome.refused(new DuetError(Code.LIMIT_REACHED, 'too many requests are waiting'));
      return;
    }
    this.#last = this.#last >= 0xffff_fffe ? 1 : this.#last + 1;
    this.#open.set(this.#last, {
      ...outcome,
      build,
      bulk: options.bulk ?? false,
      repeatable: options.repeatable ?? true,
      deadline: now + (options.withinMs ?? ANSWER_WITHIN_MS),
      sent: false,
    });
  }

  /** Sends what has not been sent; `bulkLane` opens the bulk lane if it must. */
  flush(bulkLane: () => number): void {
    if (this.#out.link === undefined) return;
    let bulk = [...this.#open.values()].filter(request => request.bulk && request.sent).length;
    for (const [number, request] of this.#open) {
      if (request.sent || (request.bulk && bulk >= BULK_MAX)) continue;
      if (request.bulk) bulk += 1;
      request.sent = this.#out.command(request.bulk ? bulkLane() : 0, request.build(number));
    }
  }

  /** The answer to a request; `false` when nobody asked. */
  done(number: number, value?: unknown): boolean {
    const request = this.#open.get(number);
    this.#open.delete(number);
    request?.done(value);
    return request !== undefined;
  }

  /** Will be sent again with the next {@link flush}; `false` when nobody asked. */
  postpone(number: number): boolean {
    const request = this.#open.get(number);
    if (request !== undefined) request.sent = false;
    return request !== undefined;
  }

  refused(number: number, error: DuetError): boolean {
    const request = this.#open.get(number);
    this.#open.delete(number);
    request?.refused(error);
    return request !== undefined;
  }

  /** The connection (or, `bulkOnly`, the bulk lane) is gone. */
  lost(bulkOnly = false): void {
    for (const [number, request] of [...this.#open]) {
      if (!request.sent || (bulkOnly && !request.bulk)) continue;
      if (request.repeatable) request.sent = false;
      else
        this.refused(number, new DuetError(Code.TRANSPORT_CLOSED, 'whether it was carried out is not known'));
    }
  }

  /** The client was closed or failed. */
  abort(error: DuetError): void {
    for (const number of [...this.#open.keys()]) this.refused(number, error);
  }

  tick(now: number): void {
    for (const [number, request] of [...this.#open]) {
      if (request.deadline <= now) this.refused(number, new DuetError(Code.TIMEOUT));
    }
  }

  deadline(): number | undefined {
    return [...this.#open.values()].reduce<number | undefined>((a, b) => earlier(a, b.deadline), undefined);
  }
}
