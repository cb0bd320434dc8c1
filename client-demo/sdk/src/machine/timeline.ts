/**
 * What is loaded of one conversation: a gapless window of its log, and behind it the own messages that are not in the log
 * yet. A message is one object under one id from its echo to its place in the log; each change makes a new object.
 */
import type { DuetError } from '../errors';
import type { Message, MessageStatus, PendingChange, TimelineEntry } from '../values';
import { type Change, Changes, type OwnChange } from './changes';

/** Most entries of the log that are held; the oldest go first. */
const WINDOW_MAX = 2_000;

/** The loaded part of a conversation. */
export class Timeline {
  readonly #changes = new Changes();
  readonly #me: () => string | undefined;
  /** Messages that were changed, as the log has them. */
  readonly #bases = new Map<number, Message>();
  #log: TimelineEntry[] = [];
  #pending: Message[] = [];
  #view: readonly TimelineEntry[] | undefined;
  /** Own messages that are known to be on two disks. */
  readonly #mirrored = new Set<string>();
  #first: number | undefined;
  #delivered = 0;
  #read = 0;

  constructor(me: () => string | undefined) {
    this.#me = me;
  }

  /** Everything, ascending, pending messages last. The same array until something changes. */
  get entries(): readonly TimelineEntry[] {
    this.#view ??= [...this.#log, ...this.#pending];
    return this.#view;
  }

  /** Seq of the first loaded event, which need not be one that is shown. */
  get first(): number | undefined {
    return this.#first;
  }

  /** The log is held from this seq on. */
  begin(seq: number): void {
    this.#first ??= seq;
  }

  get last(): number | undefined {
    return this.#log.at(-1)?.seq;
  }

  find(id: string): Message | undefined {
    const matches = (entry: TimelineEntry): boolean => entry.kind === 'message' && entry.id === id;
    const found = this.#pending.find(matches) ?? this.#log.findLast(matches);
    return found?.kind === 'message' ? found : undefined;
  }

  /** The message at this place, if it is loaded. */
  at(seq: number): Message | undefined {
    const found = this.#log.findLast(entry => entry.seq === seq);
    return found?.kind === 'message' ? found : undefined;
  }

  /** A change of a message, which need not be loaded. Returns the message if that changed what is shown. */
  changed(change: Change): Message | undefined {
    return this.#changes.told(change) ? this.#refold(change.target) : undefined;
  }

  /** One's own change is shown at once. */
  changing(target: number, change: OwnChange, pending: PendingChange): Message | undefined {
    this.#changes.own(target, change, pending);
    return this.#refold(target);
  }

  /** One's own change is given up. */
  unchanged(target: number, id: string): Message | undefined {
    this.#changes.drop(target, id);
    return this.#refold(target);
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
    if (this.#log.length > WINDOW_MAX) {
      this.#bases.delete(this.#log.shift()?.seq ?? 0);
      this.#first = this.#log[0]?.seq;
    }
    return shown;
  }

  /** Adds the entries of a page of the seqs `first` to `last` if it ends right before the window; returns them as they are shown. */
  join(page: readonly TimelineEntry[], first: number, last: number): readonly TimelineEntry[] {
    const shown = page.map(entry => this.#placed(entry, false));
    if (last + 1 === this.#first && this.#log.length + page.length <= WINDOW_MAX) {
      this.#view = undefined;
      this.#first = first;
      this.#log.unshift(...shown);
    }
    return shown;
  }

  /** Forgets the log, not what waits to be in it. */
  clear(): void {
    this.#view = undefined;
    this.#log = [];
    this.#first = undefined;
    this.#bases.clear();
    this.#changes.clear();
  }

  /** Forgets everything: the user is another one. */
  reset(): void {
    this.clear();
    this.#changes.reset();
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
    if (entry.kind !== 'message' || entry.seq === undefined) return entry;
    if (!entry.own) return this.#folded(entry);
    const replicas = this.find(entry.id)?.replicas;
    if (replace) this.#pending = this.#pending.filter(message => message.id !== entry.id);
    return this.#folded({ ...entry, replicas, status: this.#status(entry.id, entry.seq) });
  }

  #folded(base: Message): Message {
    const { seq } = base;
    if (seq === undefined || !this.#changes.has(seq)) return base;
    this.#bases.set(seq, base);
    return this.#changes.fold(base, this.#me());
  }

  /** Shows a message as it is after its changes; returns it if it is loaded. */
  #refold(target: number): Message | undefined {
    const index = this.#log.findLastIndex(entry => entry.seq === target);
    const old = this.#log[index];
    if (old?.kind !== 'message') return undefined;
    const { status, replicas, error } = old;
    const next = this.#folded({ ...(this.#bases.get(target) ?? old), status, replicas, error });
    this.#log[index] = next;
    this.#view = undefined;
    return next;
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
