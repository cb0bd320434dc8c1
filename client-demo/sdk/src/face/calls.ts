/** Questions to the tenant's back end over the connection that is there, and, for a back end, the answers. */
import type { CallAnswer, CallOptions, CallQuestion, ServedMethods } from '../api-calls';
import { DuetError, ServiceFailure } from '../errors';
import type { Driver } from '../host/driver';
import type { CallAsked, Outcome } from '../protocol/call';
import { utf8 } from '../protocol/codec';
import { Code } from '../protocol/reject';

/** How long an answer is waited for unless the call says otherwise, milliseconds; 60,000 at most. */
const TIMEOUT_MS = 10_000;
/** The application's number for a handler that threw something of its own. */
const HANDLER_FAILED = 500;

/** Makes and answers calls. */
export class CallsFace {
  readonly #driver: Driver;
  readonly #open = new Map<number, AbortController>();
  #methods: ServedMethods = {};

  constructor(driver: Driver) {
    this.#driver = driver;
    driver.calls = {
      asked: question => void this.#asked(question),
      ended: call => {
        this.#open.get(call)?.abort();
      },
    };
  }

  async call(method: string, question: unknown, options: CallOptions = {}): Promise<CallAnswer> {
    const { timeoutMs = TIMEOUT_MS } = options;
    const body = bytesOf(question);
    const outcome = await this.#driver.call<Outcome>((machine, now, call) => {
      machine.calls.ask(now, { method, body, timeoutMs }, call);
    });
    if (outcome.type === 'failed') throw new ServiceFailure(outcome.value.code, outcome.value.message);
    return answerOf(outcome.value);
  }

  async serve(methods: ServedMethods): Promise<void> {
    this.#methods = methods;
    await this.#driver.call<unknown>((machine, now, call) => {
      machine.calls.serve(now, Object.keys(methods), call);
    });
  }

  async #asked({ call, user, role, method, body, timeoutMs }: CallAsked): Promise<void> {
    const stop = new AbortController();
    this.#open.set(call, stop);
    const question: CallQuestion = { ...answerOf(body), user, role, method, timeoutMs, signal: stop.signal };
    const outcome = await this.#answer(question);
    this.#open.delete(call);
    if (stop.signal.aborted) return;
    this.#driver.run(machine => {
      machine.calls.answer(call, outcome);
    });
  }

  async #answer(question: CallQuestion): Promise<Outcome> {
    try {
      const handler = this.#methods[question.method];
      if (handler === undefined) throw new ServiceFailure(HANDLER_FAILED, 'this method is not served');
      return { type: 'returned', value: bytesOf(await handler(question)) };
    } catch (error) {
      // What went wrong inside is nobody's business but the service's, unless it says so itself.
      const known = error instanceof ServiceFailure;
      const value = known
        ? { code: error.failure, message: error.message.slice(0, 256) }
        : { code: HANDLER_FAILED, message: 'the service failed' };
      return { type: 'failed', value };
    }
  }
}

function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  const json = JSON.stringify(value ?? null) as string | undefined;
  if (json === undefined) throw new DuetError(Code.BAD_REQUEST, 'the value has no JSON form');
  return new TextEncoder().encode(json);
}

function answerOf(bytes: Uint8Array): CallAnswer {
  return { bytes, json: () => JSON.parse(utf8(bytes)) as unknown };
}
