/**
 * What is loaded of one conversation: a gapless window of its log, and behind it the own messages that are not in the log
 * yet. A message is one object under one id from its echo to its place in the log; each change makes a new object.
 */
import type { DuetError } from '../errors';
import type { Message, MessageStatus, TimelineEntry } from '../values';

/** Most entries of the log that are held; the oldest go first. */
const WINDOW_MAX = 2_000;

/** The loaded part of a conversation. */
export class Timeline {
  #log: TimelineEntry[] = [];
  #pending: Message[] = [];
  #view: readonly TimelineEntry[] | undefined;
  /** Own messages that are known to be on two disks. */
  readonly #mirrored = new Set<string>();
  #delivered = 0;
  #read = 0;

  /** Everything, ascending, pending messages last. The same array until something changes. */
  get entries(): readonly TimelineEntry[] {
    this.#view ??= [...this.#log, ...this.#pending];
    return this.#view;
  }

  /** Seq of the first loaded entry. */
  get first(): number | undefined {
    return this.#log[0]?.seq;
  }

  get last(): number | undefined {
    return this.#log.at(-1)?.seq;
  }

  find(id: string): Message | undefined {
    const matches = (entry: TimelineEntry): boolean => entry.kind === 'message' && entry.id === id;
    const found = this.#pending.find(matches) ?? this.#log.findLast(matches);
    return found?.kind === 'message' ? found : undefined;
  }

  /** Shows an own message before it is in the log. */
  echo(message: Message): void {
    this.#view = undefined;
    this.#pending.push(message);
  }

  /** Takes the next entry of the log; returns it as it is shown. An echo of it is replaced. */
  append(entry: TimelineEntry): TimelineEntry {
    this.#view = undefined;
    const shown = this.#placed(entry);
    this.#log.push(shown);
    if (this.#log.length > WINDOW_MAX) this.#log.shift();
    return shown;
  }

  /** Adds a page that ends right before the window or begins right behind it; returns the page as it is shown. */
  join(page: readonly TimelineEntry[]): readonly TimelineEntry[] {
    const shown = page.map(entry => this.#placed(entry, false));
    const adjoins = this.first !== undefined && page.at(-1)?.seq === this.first - 1;
    if (adjoins && this.#log.length + page.length <= WINDOW_MAX) {
      this.#view = undefined;
      this.#log.unshift(...shown);
    }
    return shown;
  }

  /** Forgets the log, not what waits to be in it. */
  clear(): void {
    this.#view = undefined;
    this.#log = [];
  }

  /** Forgets everything: the user is another one. */
  reset(): void {
    this.clear();
    this.#pending = [];
    this.#mirrored.clear();
    this.#delivered = this.#read = 0;
  }

  /** Takes an echo away. */
  discard(id: string): void {
    this.#view = undefined;
    this.#pending = this.#pending.filter(message => message.id !== id);
  }

  /** An own message was accepted at `seq` (`undefined`: ephemeral). Returns it if that is news. */
  accepted(
    id: string,
    seq: number | undefined,
    at: number,
    safety: { readonly mirrored: boolean; readonly replicas: number | undefined },
  ): Message | undefined {
    if (safety.mirrored) this.#mirrored.add(id);
    return this.#change(id, old => {
      const replicas = safety.replicas ?? old.replicas;
      const placed = { ...old, seq: seq ?? old.seq, at, replicas, error: undefined };
      return { ...placed, status: seq === undefined ? 'accepted' : this.#status(id, seq) };
    });
  }

  failed(id: string, error: DuetError): Message | undefined {
    return this.#change(id, old => ({ ...old, status: 'failed', error }));
  }

  queued(id: string): Message | undefined {
    return this.#change(id, old => ({ ...old, status: 'queued', error: undefined }));
  }

  /** How far the others are. Returns the own messages whose status that changed. */
  watermarks(delivered: number, read: number): Message[] {
    if (delivered <= this.#delivered && read <= this.#read) return [];
    const from = Math.min(this.#delivered, this.#read);
    this.#delivered = Math.max(delivered, this.#delivered);
    this.#read = Math.max(read, this.#read);
    return this.entries.flatMap(entry => {
      if (entry.kind !== 'message' || !entry.own || entry.seq === undefined || entry.seq <= from) return [];
      const status = this.#status(entry.id, entry.seq);
      return status === entry.status ? [] : (this.#change(entry.id, old => ({ ...old, status })) ?? []);
    });
  }

  /** Messages of others behind `seq` that are loaded. */
  unreadAfter(seq: number): number {
    return this.#log.filter(entry => entry.kind === 'message' && !entry.own && (entry.seq ?? 0) > seq).length;
  }

  #placed(entry: TimelineEntry, replace = true): TimelineEntry {
    if (entry.kind !== 'message' || !entry.own || entry.seq === undefined) return entry;
    const replicas = this.find(entry.id)?.replicas;
    if (replace) this.#pending = this.#pending.filter(message => message.id !== entry.id);
    return { ...entry, replicas, status: this.#status(entry.id, entry.seq) };
  }

  #status(id: string, seq: number): MessageStatus {
    if (seq <= this.#read) return 'read';
    if (seq <= this.#delivered) return 'delivered';
    return this.#mirrored.has(id) ? 'mirrored' : 'accepted';
  }

  #change(id: string, change: (old: Message) => Message): Message | undefined {
    for (const list of [this.#pending, this.#log]) {
      const index = list.findLastIndex(entry => entry.kind === 'message' && entry.id === id);
      const old = list[index];
      if (old?.kind !== 'message') continue;
      const next = change(old);
      const same = next.status === old.status && next.seq === old.seq && next.error === old.error;
      if (same && next.replicas === old.replicas) return undefined;
      list[index] = next;
      this.#view = undefined;
      if (same) return undefined;
      return next;
    }
    return undefined;
  }
}
