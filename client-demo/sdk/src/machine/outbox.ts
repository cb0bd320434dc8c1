/**
 * Messages that wait to be accepted: one queue per conversation, in the order of sending, one message of each on its way at
 * a time, so that a refused message is never overtaken.
 *
 * Bounded by count and bytes: what does not fit is refused at once (`outbox_full`). A message keeps its id through every try.
 * One older than 23 h is no longer sent, because the server forgets ids after 24 h and could not tell a repetition; it fails
 * and waits, like every refused message, for `retry` or `discard`.
 */
import { DuetError } from '../errors';
import { messageIdTime } from '../protocol/ids';
import { Code } from '../protocol/reject';
import { earlier, type Out, type OutboxEntry } from './effect';

/** How long a message may wait, milliseconds. */
export const TTL_MS = 23 * 3_600_000;

/** How long a server may take to answer a publish, milliseconds; then the lane is taken for broken. */
const ANSWER_WITHIN_MS = 20_000;

interface Queued {
  entry: OutboxEntry;
  /** On its way on the present connection; when its answer is overdue. */
  inFlight: { readonly until: number } | undefined;
}

/** The outbox of one client. */
export class Outbox {
  readonly #out: Out;
  readonly #messagesMax: number;
  readonly #bytesMax: number;
  readonly #queues = new Map<string, Queued[]>();
  /** Not before this local time, per conversation. */
  readonly #holds = new Map<string, number>();
  #count = 0;
  #bytes = 0;

  constructor(out: Out, messagesMax: number, bytesMax: number) {
    this.#out = out;
    this.#messagesMax = messagesMax;
    this.#bytesMax = bytesMax;
  }

  /** Takes a message in; throws `outbox_full`. `stored` says that the host holds it already. */
  add(entry: OutboxEntry, stored = false): void {
    if (this.find(entry.id) !== undefined) return;
    const bytes = entry.content.body.length;
    if (!stored && (this.#count >= this.#messagesMax || this.#bytes + bytes > this.#bytesMax)) {
      throw new DuetError(Code.OUTBOX_FULL);
    }
    const queue = this.#queues.get(entry.conversation) ?? [];
    queue.push({ entry, inFlight: undefined });
    if (stored) queue.sort((a, b) => order(a.entry, b.entry));
    this.#queues.set(entry.conversation, queue);
    this.#count += 1;
    this.#bytes += bytes;
    if (!stored) this.#store(entry);
  }

  find(id: string): OutboxEntry | undefined {
    for (const queue of this.#queues.values()) {
      const found = queue.find(queued => queued.entry.id === id);
      if (found !== undefined) return found.entry;
    }
    return undefined;
  }

  /** The message was accepted or discarded. Returns it if it was here. */
  remove(id: string): OutboxEntry | undefined {
    const entry = this.find(id);
    if (entry === undefined) return undefined;
    const rest = (this.#queues.get(entry.conversation) ?? []).filter(queued => queued.entry.id !== id);
    if (rest.length > 0) this.#queues.set(entry.conversation, rest);
    else this.#queues.delete(entry.conversation);
    this.#count -= 1;
    this.#bytes -= entry.content.body.length;
    this.#out.push({ type: 'dropMessage', id });
    return entry;
  }

  /** The server will not have it. It stays until it is retried or discarded. */
  fail(id: string, code: number, message: string): OutboxEntry | undefined {
    return this.#replace(id, { failed: { code, message } });
  }

  /** A failed message waits again. */
  revive(id: string): OutboxEntry | undefined {
    return this.#replace(id, { failed: undefined });
  }

  /** The next message to send in this conversation, marked as on its way; `undefined` when none may go now. */
  take(now: number, conversation: string, owner: string): OutboxEntry | undefined {
    if ((this.#holds.get(conversation) ?? 0) > now) return undefined;
    const queue = this.#queues.get(conversation) ?? [];
    if (queue.some(queued => queued.inFlight !== undefined)) return undefined;
    const next = queue.find(({ entry }) => entry.failed === undefined && entry.owner === owner);
    if (next === undefined) return undefined;
    next.inFlight = { until: now + ANSWER_WITHIN_MS };
    return next.entry;
  }

  /** Tries again after `ms`. */
  hold(now: number, id: string, ms: number): void {
    const entry = this.find(id);
    if (entry === undefined) return;
    this.#landed(entry.conversation);
    this.#holds.set(entry.conversation, now + ms);
  }

  /** The lane or connection is gone: what was on its way goes again. */
  grounded(conversation?: string): void {
    for (const name of conversation === undefined ? this.#queues.keys() : [conversation]) this.#landed(name);
    this.#holds.clear();
  }

  /** Messages that were written before the user was known are theirs. */
  adopt(owner: string): void {
    for (const queue of this.#queues.values()) {
      for (const queued of queue) {
        if (queued.entry.owner !== '') continue;
        queued.entry = { ...queued.entry, owner };
        this.#store(queued.entry);
      }
    }
  }

  /** Fails what is too old by the server's time, and returns it. */
  expire(serverNow: number): OutboxEntry[] {
    const old = [...this.#queues.values()].flat().filter(({ entry, inFlight }) => {
      return entry.failed === undefined && inFlight === undefined && expiry(entry) <= serverNow;
    });
    return old.flatMap(({ entry }) => this.fail(entry.id, Code.OUTBOX_EXPIRED, '') ?? []);
  }

  /** Conversations in which something of `owner` waits to be sent. */
  waiting(owner: string): string[] {
    return [...this.#queues]
      .filter(([, queue]) => queue.some(({ entry }) => entry.failed === undefined && entry.owner === owner))
      .map(([conversation]) => conversation);
  }

  /** Everything in a conversation, in order, failed ones included. */
  entries(conversation: string): OutboxEntry[] {
    return (this.#queues.get(conversation) ?? []).map(queued => queued.entry);
  }

  /** Leaves the messages of everybody else to the host's storage. */
  forgetOthers(owner: string): void {
    for (const [conversation, queue] of [...this.#queues]) {
      const rest = queue.filter(({ entry }) => entry.owner === owner || entry.owner === '');
      for (const { entry } of queue) {
        if (rest.some(queued => queued.entry === entry)) continue;
        this.#count -= 1;
        this.#bytes -= entry.content.body.length;
      }
      if (rest.length > 0) this.#queues.set(conversation, rest);
      else this.#queues.delete(conversation);
    }
  }

  /** Takes out what is not worth sending later. */
  takeEphemeral(): OutboxEntry[] {
    const all = [...this.#queues.values()].flat().map(queued => queued.entry);
    const lost = all.filter(entry => entry.durability === 'ephemeral');
    for (const { id } of lost) this.remove(id);
    return lost;
  }

  /** The next time at which a held conversation may go on, or an answer is overdue. */
  deadline(): number | undefined {
    let next: number | undefined;
    for (const until of this.#holds.values()) next = earlier(next, until);
    for (const queue of this.#queues.values()) {
      for (const { inFlight } of queue) next = earlier(next, inFlight?.until);
    }
    return next;
  }

  /** Conversations in which an answer is overdue. */
  overdue(now: number): string[] {
    const late = (queue: readonly Queued[]): boolean => {
      return queue.some(({ inFlight }) => inFlight !== undefined && inFlight.until <= now);
    };
    return [...this.#queues].filter(([, queue]) => late(queue)).map(([conversation]) => conversation);
  }

  /** Conversations whose hold has ended. */
  released(now: number): string[] {
    const free = [...this.#holds].filter(([, until]) => until <= now).map(([conversation]) => conversation);
    for (const conversation of free) this.#holds.delete(conversation);
    return free;
  }

  #landed(conversation: string): void {
    for (const queued of this.#queues.get(conversation) ?? []) queued.inFlight = undefined;
  }

  #replace(id: string, change: Partial<OutboxEntry>): OutboxEntry | undefined {
    for (const queue of this.#queues.values()) {
      const queued = queue.find(one => one.entry.id === id);
      if (queued === undefined) continue;
      queued.entry = { ...queued.entry, ...change };
      queued.inFlight = undefined;
      this.#store(queued.entry);
      return queued.entry;
    }
    return undefined;
  }

  /** Ephemeral messages live in memory only, like those whose owner is not known yet. */
  #store(entry: OutboxEntry): void {
    if (entry.durability !== 'ephemeral' && entry.owner !== '')
      this.#out.push({ type: 'storeMessage', entry });
  }
}

function expiry(entry: OutboxEntry): number {
  return (messageIdTime(entry.id) ?? entry.queuedAt) + TTL_MS;
}

function order(a: OutboxEntry, b: OutboxEntry): number {
  return a.queuedAt - b.queuedAt || (a.id < b.id ? -1 : 1);
}
