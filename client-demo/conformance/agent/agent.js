/** The TypeScript SDK as an agent: many clients, one line at a time in, one line at a time out. The twin of the Rust agent. */
import { Held } from './client.js';

/** Obeys lines; `out` takes what is to be told, as objects. */
export class Agent {
  #clients = new Map();
  #questions = new Map();
  #lastQuestion = 0;
  #out;
  #parts;

  /** `parts(name, options, order)` replaces what a client touches of the browser; nothing to leave it as it is. */
  constructor(out, parts) {
    this.#out = out;
    this.#parts = parts;
  }

  async take(order) {
    if (order.answer !== undefined) {
      this.#questions.get(order.answer)?.(order);
      this.#questions.delete(order.answer);
      return;
    }
    try {
      this.#out({ call: order.call, ok: (await this.#obey(order)) ?? null });
    } catch (error) {
      const { code = 0, message = String(error), retryAfterMs = 0 } = error;
      this.#out({ call: order.call, error: { code, message, retryAfterMs } });
    }
  }

  #obey(order) {
    const held = this.#clients.get(order.client);
    if (held !== undefined) {
      if (order.do === 'forget') return void this.#clients.delete(order.client);
      return held.obey(order);
    }
    if (order.do !== 'connect') throw new Error(`no client ${order.client}`);
    const surroundings = {
      tell: this.#out,
      ask: (client, reason) => this.#ask(client, reason),
      parts: this.#parts,
    };
    this.#clients.set(order.client, new Held(order.client, order, surroundings));
    return null;
  }

  #ask(client, reason) {
    this.#lastQuestion += 1;
    const ask = this.#lastQuestion;
    return new Promise(resolve => {
      this.#questions.set(ask, resolve);
      this.#out({ ask, client, reason });
    });
  }
}
