/** The client's state and whoever waits for it: everything that the application is told about its connection. */
import type { ClientState, Resumption, StateChange } from '../api';
import { DuetError } from '../errors';
import type { Out } from './effect';
import type { Cause, Live } from './live';

/** Tells the state, and suspends it when the session can no longer be resumed. */
export class Status {
  current: ClientState = 'disconnected';
  readonly #out: Out;
  readonly #about: () => { readonly live: Live | undefined; readonly epoch: number };
  /** Calls that are settled with the next connection. */
  #waiting: number[] = [];
  #end: Cause = { code: 0, reason: '' };
  #suspendAt: number | undefined;

  constructor(out: Out, about: () => { readonly live: Live | undefined; readonly epoch: number }) {
    this.#out = out;
    this.#about = about;
  }

  /** `call` is settled when connected, refused when that has failed for good. */
  wait(call: number): void {
    if (this.current === 'connected') this.#out.settle([call]);
    else this.#waiting.push(call);
  }

  connected(resumed: Resumption | undefined): void {
    this.#suspendAt = undefined;
    this.change('connected', { code: 0, reason: '' }, undefined, resumed);
    this.#out.settle(this.#waiting.splice(0));
  }

  /** The session can be resumed for so long. */
  lost(now: number, windowMs: number): void {
    this.#suspendAt = now + windowMs;
  }

  /** The end, for now. */
  finish(cause: Cause): DuetError {
    this.#suspendAt = undefined;
    const error = new DuetError(cause.code, cause.reason);
    this.#out.refuse(this.#waiting.splice(0), error);
    return error;
  }

  tick(now: number, retryAt: number | undefined): void {
    if (this.#suspendAt === undefined || now < this.#suspendAt) return;
    this.#suspendAt = undefined;
    this.change('suspended', this.#end, retryAt === undefined ? undefined : retryAt - now);
  }

  deadline(): number | undefined {
    return this.#suspendAt;
  }

  /** Tells the state; the same one again says that another try has failed, or more about the present connection. */
  change(current: ClientState, cause: Cause, retryIn?: number, resumed?: Resumption): void {
    const previous = this.current;
    const { live, epoch } = this.#about();
    this.current = current;
    this.#end = cause;
    const change: StateChange = {
      current,
      previous,
      code: cause.code,
      reason: cause.reason,
      retryIn,
      transport: live?.transport,
      node: live?.welcome.node,
      endpoint: live?.address.url,
      epoch,
      resumed: resumed?.outcome,
      missing: resumed?.missing ?? [],
    };
    this.#out.emit('state', change);
  }
}
