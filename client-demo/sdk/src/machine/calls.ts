/** Calls: questions to a service over this connection, and the methods that this client serves itself. */
import { DuetError } from '../errors';
import type { Outcome } from '../protocol/call';
import type { Command } from '../protocol/command';
import type { Delivery } from '../protocol/delivery';
import { Code } from '../protocol/reject';
import type { Out } from './effect';

/** How much longer than the caller's time the server's own word on it may take, milliseconds. */
const ANSWER_GRACE_MS = 2_000;

/** Makes a request; see `Machine.request`. */
type Request = (
  now: number,
  build: (request: number) => Command,
  call: number,
  options?: { readonly repeatable?: boolean; readonly withinMs?: number },
) => void;

/** The calls of a client. */
export class Calls {
  readonly #out: Out;
  readonly #request: Request;
  readonly #granted: () => boolean;
  #serves: readonly string[] = [];

  /** `granted`: the server passes calls on, or is not known yet. */
  constructor(out: Out, request: Request, granted: () => boolean) {
    this.#out = out;
    this.#request = request;
    this.#granted = granted;
  }

  /** Asks a service; `call` is settled with an `Outcome`. Not repeated: nobody knows whether it was carried out. */
  ask(
    now: number,
    question: { readonly method: string; readonly body: Uint8Array; readonly timeoutMs: number },
    call: number,
  ): void {
    if (!this.#granted()) {
      this.#out.refuse([call], new DuetError(Code.NO_SERVICE, 'this server passes no calls on'));
      return;
    }
    const options = { repeatable: false, withinMs: question.timeoutMs + ANSWER_GRACE_MS };
    this.#request(now, request => ({ type: 'Call', body: { request, ...question } }), call, options);
  }

  /** Answers these methods from now on, on every connection. */
  serve(now: number, methods: readonly string[], call: number): void {
    this.#serves = methods;
    this.#request(now, request => ({ type: 'Serve', body: { request, methods } }), call);
  }

  welcomed(now: number, nobody: number): void {
    if (this.#serves.length > 0) this.serve(now, this.#serves, nobody);
  }

  answer(call: number, outcome: Outcome): void {
    this.#out.command(0, { type: 'Answer', body: { call, outcome } });
  }

  heard(delivery: Extract<Delivery, { type: 'CallAsked' | 'CallEnded' }>): void {
    if (delivery.type === 'CallAsked') this.#out.push({ type: 'asked', question: delivery.body });
    else this.#out.push({ type: 'callEnded', call: delivery.body.call });
  }
}
