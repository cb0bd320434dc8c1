/** A process that is spoken to in lines of JSON: orders with numbers go in, answers and news come out. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** Longest wait for an answer, milliseconds; whoever waits for more inside says so earlier. */
const ANSWER_WITHIN_MS = 70_000;

/** What was refused, or could not be done. */
export class Refused extends Error {
  constructor(order, { code = 0, message = '', retryAfterMs = 0 }) {
    super(`${order}: ${message} (${code})`);
    Object.assign(this, { code, retryAfterMs });
  }
}

/** Numbers orders and matches answers, over whatever carries lines. */
export class Dialogue {
  #open = new Map();
  #last = 0;
  #send;
  #news;

  /** `send` takes a line's object; `news` is told what is no answer. */
  constructor(send, news = () => undefined) {
    this.#send = send;
    this.#news = news;
  }

  ask(order) {
    this.#last += 1;
    const call = this.#last;
    return new Promise((resolve, reject) => {
      const refuse = error => reject(new Refused(order.do, error));
      const late = setTimeout(() => {
        this.#open.delete(call);
        refuse({ message: `no answer within ${ANSWER_WITHIN_MS} ms` });
      }, ANSWER_WITHIN_MS);
      this.#open.set(call, { resolve, refuse, late });
      this.#send({ ...order, call });
    });
  }

  /** Says something that is not answered. */
  say(line) {
    this.#send(line);
  }

  take(line) {
    const open = this.#open.get(line.call);
    if (open === undefined) {
      this.#news(line);
      return;
    }
    this.#open.delete(line.call);
    clearTimeout(open.late);
    if (line.error === undefined) open.resolve(line);
    else open.refuse(typeof line.error === 'string' ? { message: line.error } : line.error);
  }

  /** Nobody will answer any more. */
  end(message) {
    for (const { refuse, late } of this.#open.values()) {
      clearTimeout(late);
      refuse({ message });
    }
    this.#open.clear();
  }
}

/** A child process behind a dialogue. */
export class Process {
  #child;
  dialogue;

  constructor(command, args, news) {
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.dialogue = new Dialogue(line => {
      if (this.#child.stdin.writable) this.#child.stdin.write(`${JSON.stringify(line)}\n`);
    }, news);
    // A process that was killed takes nothing more; whoever asked is told by `end`.
    this.#child.stdin.on('error', () => undefined);
    createInterface({ input: this.#child.stdout }).on('line', line => {
      this.dialogue.take(JSON.parse(line));
    });
    this.#child.on('exit', () => this.dialogue.end(`${command} has ended`));
    this.#child.on('error', error => this.dialogue.end(`${command}: ${error.message}`));
  }

  signal(name) {
    this.#child.kill(name);
  }

  get id() {
    return this.#child.pid;
  }

  async kill() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}
