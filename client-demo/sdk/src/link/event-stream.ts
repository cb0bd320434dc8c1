/**
 * Reads server-sent events out of a stream of bytes (HTML, "Server-sent events", "Interpreting an event stream"): lines, comments,
 * the fields `event`, `id` and `data`. Pure; holds at most one unfinished event, within a bound.
 */

/** One event, or a comment, which only shows that the stream lives. */
export type StreamItem =
  | { readonly type: 'comment' }
  | { readonly type: 'event'; readonly name: string; readonly id: string; readonly data: string };

/** The longest event that is taken: a batch of 64 KiB in base64, with room for its fields. */
const EVENT_MAX = 128 * 1024;

/** The stream holds something else, or an event without an end. */
export class EventStreamError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'EventStreamError';
  }
}

/** Cuts a stream into events. */
export class EventStream {
  readonly #decoder = new TextDecoder('utf-8', { fatal: false });
  #rest = '';
  #name = '';
  #id = '';
  #data: string[] = [];
  #size = 0;

  /** Takes in what arrived and returns what is whole now; throws {@link EventStreamError}. */
  push(bytes: Uint8Array): StreamItem[] {
    this.#rest += this.#decoder.decode(bytes, { stream: true });
    const items: StreamItem[] = [];
    for (;;) {
      const end = /\r\n|\n|\r(?=.)/s.exec(this.#rest);
      if (end === null) break;
      const line = this.#rest.slice(0, end.index);
      this.#rest = this.#rest.slice(end.index + end[0].length);
      const item = this.#line(line);
      if (item !== undefined) items.push(item);
    }
    if (this.#rest.length + this.#size > EVENT_MAX) throw new EventStreamError('an event has no end');
    return items;
  }

  #line(line: string): StreamItem | undefined {
    if (line === '') return this.#dispatch();
    if (line.startsWith(':')) return { type: 'comment' };
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    this.#size += line.length;
    if (field === 'event') this.#name = value;
    else if (field === 'id') this.#id = value;
    else if (field === 'data') this.#data.push(value);
    return undefined;
  }

  /** An event without data is none, by the standard. */
  #dispatch(): StreamItem | undefined {
    const [name, data] = [this.#name === '' ? 'message' : this.#name, this.#data];
    this.#name = '';
    this.#data = [];
    this.#size = 0;
    return data.length === 0 ? undefined : { type: 'event', name, id: this.#id, data: data.join('\n') };
  }
}
