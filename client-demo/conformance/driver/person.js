/** One client of an agent, as a scenario sees it: does things, and is asked what it has heard. */
import assert from 'node:assert/strict';

/** Longest wait for an event unless a scenario says otherwise, milliseconds. */
const WITHIN_MS = 20_000;

/** A client by its name. */
export class Person {
  #agent;
  #waiting = new Set();
  #mark = 0;
  /** Everything that its SDK told, in order, each with `at`, the driver's clock. */
  heard = [];
  /** What its token provider was asked for. */
  asked = [];

  /** `options` are the order `connect`; `token(reason)` gives the answer to a question for a token. */
  constructor(name, agent, options, token) {
    this.name = name;
    this.#agent = agent;
    this.options = options;
    this.token = token;
  }

  get agent() {
    return this.#agent;
  }

  /** From now on it is a client of this agent. */
  sit(agent) {
    this.#agent = agent;
  }

  /** Does it and gives back the answer; fails with {@link Refused}. */
  async do(what, fields = {}) {
    return (await this.#agent.dialogue.ask({ ...fields, do: what, client: this.name })).ok;
  }

  /** Begins to connect, and does not wait. */
  connect() {
    return this.do('connect', this.options);
  }

  async ready() {
    await this.connect();
    await this.do('ready');
    return this;
  }

  /** A line of the agent's that is no answer. */
  take(line) {
    if (line.ask !== undefined) {
      this.asked.push(line.reason);
      void Promise.resolve(this.token(line.reason)).then(answer => {
        this.#agent.dialogue.say({ ...answer, answer: line.ask });
      });
      return;
    }
    this.heard.push({ ...line, at: performance.now() });
    for (const check of [...this.#waiting]) check();
  }

  /** Only what is heard from now on counts for `hears` and `told`. */
  mark() {
    this.#mark = this.heard.length;
  }

  /** What was heard of `event` since the mark and has these fields. */
  told(event, fields = {}) {
    return this.heard.slice(this.#mark).filter(line => line.event === event && has(line, fields));
  }

  /** Waits until `event` with these fields was heard since the mark, and gives it back. */
  async hears(event, fields = {}, withinMs = WITHIN_MS) {
    return this.until(`${event} ${JSON.stringify(fields)}`, () => this.told(event, fields)[0], withinMs);
  }

  /** Waits until `ask` has an answer; asked again whenever something was heard. */
  async until(what, ask, withinMs = WITHIN_MS) {
    const found = ask();
    if (found) return found;
    return new Promise((resolve, reject) => {
      const check = () => {
        const answer = ask();
        if (!answer) return;
        clearTimeout(late);
        this.#waiting.delete(check);
        resolve(answer);
      };
      const late = setTimeout(() => {
        this.#waiting.delete(check);
        const last = this.heard
          .slice(-6)
          .map(line => JSON.stringify(line))
          .join('\n    ');
        reject(new Error(`${this.name} heard no ${what} within ${withinMs} ms; the last was\n    ${last}`));
      }, withinMs);
      this.#waiting.add(check);
    });
  }

  /** The states since the mark, each once where it was told again. */
  states() {
    const states = this.told('state').map(({ current }) => current);
    return states.filter((state, i) => state !== states[i - 1]);
  }

  /** Sends texts one behind the other, without waiting for anything but the SDK's own answer. */
  async say(conversation, ...texts) {
    const sent = [];
    for (const text of texts) sent.push(await this.do('send', { conversation, text }));
    return sent;
  }

  /** Waits until own messages are as far as one of `statuses`. */
  async reached(messages, ...statuses) {
    for (const { id } of messages) {
      await this.until(`message.status ${statuses.join(' or ')} of ${id}`, () =>
        this.heard.some(
          line => line.event === 'message.status' && line.id === id && statuses.includes(line.status),
        ),
      );
    }
  }

  /** Nothing of this was told since the mark. */
  never(event, fields = {}) {
    assert.deepEqual(this.told(event, fields), [], `${this.name} was told ${event}`);
  }
}

function has(line, fields) {
  return Object.entries(fields).every(([name, value]) => {
    if (typeof value === 'function') return value(line[name]);
    return Array.isArray(value) ? value.includes(line[name]) : line[name] === value;
  });
}
