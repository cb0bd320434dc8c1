/**
 * One conversation: its lane, its position, what is loaded of it, its receipts.
 *
 * ```text
 * shut ─open→ opening ─Opened→ backlog ─CaughtUp→ live
 *   ↑            └─────────── lane gone, gap, 25xx ──┘   then again from the position, sooner or later
 *   └── unsubscribe, 20xx, refused
 * ```
 * The law: events are shown in seq order, each once, without a hole. One that was seen before is dropped; one that comes too
 * early means that something was lost, and the lane is opened again from the last position.
 */
import type { SubscribeOptions } from '../api';
import { DuetError } from '../errors';
import type { Opened } from '../protocol/delivery';
import type { Event } from '../protocol/event';
import { Code, isRetryable } from '../protocol/reject';
import type { Message, Position, TimelineEntry } from '../values';
import type { Change } from './changes';
import { reading } from './convert';
import { earlier, type Out, type SavedPosition } from './effect';
import { Standing } from './standing';
import { Timeline } from './timeline';

/** How long a server may take to answer an open, milliseconds. */
const OPENED_WITHIN_MS = 15_000;
/** Receipts leave at most this often, milliseconds. */
const RECEIPT_EVERY_MS = 200;
const REOPEN_BASE_MS = 250;
const REOPEN_MAX_MS = 10_000;
const CALM_MS = 30_000;

/** What a feed needs of its surroundings. */
export interface Surroundings {
  readonly out: Out;
  /** The user, once known. */
  me(): string | undefined;
  epoch(): number;
  /** A lane number that was never used on this connection. */
  nextLane(feed: Feed): number;
  /** A message of the user's own was found in the log. */
  settled(id: string): void;
}

/** One conversation. */
export class Feed {
  readonly id: string;
  readonly timeline: Timeline;
  readonly standing = new Standing();
  phase: 'shut' | 'opening' | 'backlog' | 'live' = 'shut';
  /** The application wants to see it. Otherwise a lane is open only to send. */
  wanted = false;
  lane: number | undefined;
  head = 0;
  /** Events of kinds that this version does not know. */
  unknownEvents = 0;
  readonly #around: Surroundings;
  #position: Position | undefined;
  #saved: SavedPosition | undefined;
  #latest: number;
  #read = 0;
  #sent = { received: 0, read: 0 };
  #receiptAt: number | undefined;
  #reopenAt: number | undefined;
  #reopens = 0;
  #reopenedAt = 0;
  #openedBy: number | undefined;
  #calls: number[] = [];

  constructor(id: string, around: Surroundings, backlog: number, saved: SavedPosition | undefined) {
    this.id = id;
    this.#around = around;
    this.timeline = new Timeline(() => around.me());
    this.#latest = backlog;
    this.#saved = saved;
    this.#read = saved?.read ?? 0;
  }

  /** Where this client stands; before the first subscription, where it stood before the reload. */
  get position(): Position | undefined {
    return this.#position ?? (this.#saved && { epoch: this.#saved.epoch, seq: this.#saved.seq });
  }

  get read(): number {
    return Math.max(this.#read, this.standing.roster.marks(this.#around.me() ?? '').read);
  }

  subscribe(now: number, options: SubscribeOptions, call: number): void {
    if (this.wanted && this.phase === 'live') {
      this.#around.out.settle([call]);
      return;
    }
    this.#calls.push(call);
    if (this.wanted) return;
    this.wanted = true;
    this.#latest = options.latest ?? this.#latest;
    this.#position = options.after;
    this.timeline.clear();
    this.shut();
    this.#open(now);
    this.#updated();
  }

  /** The client is closed or failed. What is wanted stays wanted, in case it connects again. */
  refuse(error: DuetError): void {
    this.#around.out.refuse(this.#calls.splice(0), error);
  }

  unsubscribe(): void {
    this.wanted = false;
    this.shut();
    this.timeline.clear();
    this.#position = undefined;
    this.#around.out.refuse(this.#calls.splice(0), new DuetError(Code.UNSUBSCRIBED));
    this.#updated();
  }

  /** Opens a lane if there is a connection and none is open or planned. */
  ensure(now: number): void {
    if (this.phase === 'shut' && this.#reopenAt === undefined) this.#open(now);
  }

  /** Finishes the lane. */
  shut(): void {
    const { out } = this.#around;
    if (this.lane !== undefined && out.link !== undefined) {
      out.push({ type: 'finishLane', link: out.link, lane: this.lane });
    }
    this.phase = 'shut';
    this.lane = this.#receiptAt = this.#reopenAt = undefined;
  }

  /** The lane is gone with its connection. */
  lost(): void {
    this.phase = 'shut';
    this.lane = this.#receiptAt = this.#reopenAt = undefined;
    this.#reopens = 0;
  }

  /** Something is wrong with the lane: another one, from the position. */
  reopen(now: number): void {
    this.shut();
    this.#again(now);
  }

  /** The lane ended by itself: opened again soon. */
  laneDown(now: number): void {
    this.lane = undefined;
    this.phase = 'shut';
    this.#again(now);
  }

  /** The subscription stands. `false`: not where it had stopped; what was held is discarded. */
  opened(opened: Opened): boolean {
    const had = this.#position;
    const hole = had !== undefined && (!opened.complete || opened.after > had.seq);
    if (hole) {
      this.timeline.clear();
      const reason = opened.complete ? 'the backlog begins too late' : 'events are no longer kept';
      this.#around.out.emit('discontinuity', { conversation: this.id, reason });
    }
    const seq = had === undefined || hole ? opened.after : had.seq;
    this.phase = 'backlog';
    this.#openedBy = undefined;
    this.standing.opened(opened);
    this.head = Math.max(opened.head.seq, seq);
    this.#sent = this.standing.roster.marks(this.#around.me() ?? '');
    this.timeline.begin(seq + 1);
    this.#moved(seq);
    this.#watermarks();
    this.#updated();
    return !hole;
  }

  event(now: number, event: Event): void {
    if (this.phase !== 'backlog' && this.phase !== 'live') return;
    const seq = this.#position?.seq ?? 0;
    if (event.seq <= seq) return;
    if (event.seq > seq + 1) {
      this.reopen(now);
      return;
    }
    this.#moved(event.seq);
    this.head = Math.max(this.head, event.seq);
    this.#receiptAt ??= now + RECEIPT_EVERY_MS;
    const read = reading(this.id, event, this.#around.me());
    if (read === undefined) this.unknownEvents += 1;
    else if (read.kind === 'change') this.changed(read);
    else if (read.kind !== 'nothing') this.#show(read);
  }

  /** A message was changed, as the log or the answer to one's own change says. */
  changed(change: Change): void {
    this.#around.settled(change.id);
    const message = this.timeline.changed(change);
    if (message !== undefined) this.updated(message, change.type, change.author);
  }

  /** Tells that a loaded message is another one now. */
  updated(message: Message, change: 'edited' | 'deleted' | 'reacted', by: string | undefined): void {
    if (!this.wanted) return;
    const live = this.phase === 'live';
    this.#around.out.emit('message.updated', { conversation: this.id, message, change, by, live });
    this.#around.out.emit('conversation.updated', { conversation: this.id, entry: message });
  }

  /** A page of the past: its changes count whatever of it is shown. */
  page(events: readonly Event[]): readonly TimelineEntry[] {
    const read = events.map(event => reading(this.id, event, this.#around.me()));
    for (const each of read) if (each?.kind === 'change') this.changed(each);
    const entries = read.filter(
      each => each !== undefined && each.kind !== 'change' && each.kind !== 'nothing',
    );
    return this.timeline.join(entries, events[0]?.seq ?? 0, events.at(-1)?.seq ?? 0);
  }

  caughtUp(now: number): void {
    if (this.phase !== 'backlog') return;
    this.phase = 'live';
    this.#receiptAt ??= now + RECEIPT_EVERY_MS;
    this.#around.out.settle(this.#calls.splice(0));
    this.#updated();
  }

  /** A member's watermarks moved, one's own from another device included. */
  receipt(user: string, received: number, read: number): void {
    const marks = this.standing.roster.receipt(user, received, read);
    if (marks === undefined) return;
    this.#around.out.emit('receipt.updated', { conversation: this.id, user, ...marks });
    this.#watermarks();
    if (user === this.#around.me()) this.#updated();
  }

  markRead(now: number, seq: number): void {
    const read = Math.min(seq, Math.max(this.head, this.position?.seq ?? 0));
    if (read <= this.read) return;
    this.#read = read;
    this.#receiptAt ??= now + RECEIPT_EVERY_MS;
    this.#save();
    this.#updated();
  }

  /** The server ended the subscription, or refused it. Returns the error when that is for good. */
  ended(now: number, code: number, reason: string, retryAfterMs = 0): DuetError | undefined {
    this.lane = undefined;
    this.phase = 'shut';
    if (code >= 2500 ? code <= 2999 : isRetryable(code)) {
      this.#again(now, retryAfterMs);
      return undefined;
    }
    const error = new DuetError(code, reason, retryAfterMs);
    this.wanted = false;
    if (this.#calls.length > 0) this.#around.out.refuse(this.#calls.splice(0), error);
    else this.#around.out.emit('error', error);
    this.#updated();
    return error;
  }

  /** The user is another one now: nothing here is theirs. */
  reset(): void {
    this.timeline.reset();
    this.standing.reset();
    this.#position = this.#saved = undefined;
    this.#read = 0;
  }

  /** Does what is due. */
  tick(now: number): void {
    if (this.#receiptAt !== undefined && now >= this.#receiptAt) this.#sendReceipt();
    if (this.#openedBy !== undefined && now >= this.#openedBy && this.phase === 'opening') this.reopen(now);
    if (this.#reopenAt !== undefined && now >= this.#reopenAt) {
      this.#reopenAt = undefined;
      this.#open(now);
    }
  }

  deadline(): number | undefined {
    const opened = this.phase === 'opening' ? this.#openedBy : undefined;
    return earlier(opened, earlier(this.#receiptAt, this.#reopenAt));
  }

  #open(now: number): void {
    const { out } = this.#around;
    if (out.link === undefined) return;
    this.lane = this.#around.nextLane(this);
    this.phase = 'opening';
    this.#reopenedAt = now;
    this.#openedBy = now + OPENED_WITHIN_MS;
    if (!this.wanted) this.#position = undefined;
    const position = this.#position;
    const latest = this.wanted ? this.#latest : 0;
    const start =
      position === undefined
        ? ({ type: 'latest', value: latest } as const)
        : ({ type: 'after', value: position } as const);
    out.openLane(this.lane, false);
    out.command(this.lane, { type: 'Open', body: { conversation: this.id, start } });
  }

  #again(now: number, retryAfterMs = 0): void {
    if (now - this.#reopenedAt > CALM_MS) this.#reopens = 0;
    const delay = this.#reopens === 0 ? 0 : Math.min(REOPEN_MAX_MS, REOPEN_BASE_MS * 2 ** this.#reopens);
    this.#reopens += 1;
    this.#reopenAt = now + Math.max(delay, retryAfterMs);
  }

  #show(entry: TimelineEntry): void {
    const reader = this.standing.apply(entry);
    if (reader !== undefined && entry.seq !== undefined) this.#reached(reader, entry.seq);
    const echo = entry.kind === 'message' ? this.timeline.find(entry.id) : undefined;
    const shown = this.wanted ? this.timeline.append(entry) : entry;
    if (shown.kind === 'message') {
      if (shown.own) this.#around.settled(shown.id);
      if (echo !== undefined) this.#tellIfNew(echo, shown);
      else if (this.wanted) {
        const live = this.phase === 'live';
        this.#around.out.emit('message.created', { conversation: this.id, message: shown, live });
      }
    }
    if (this.wanted) this.#around.out.emit('conversation.updated', { conversation: this.id, entry: shown });
  }

  /** Who joins or writes has read up to there; the server tells no receipt for what the event itself says. */
  #reached(user: string, seq: number): void {
    if (this.standing.roster.receipt(user, seq, seq) !== undefined) this.#watermarks();
  }

  /** Somebody said something that is not stored. */
  heard(message: Message): void {
    if (this.wanted) this.#around.out.emit('message.created', { conversation: this.id, message, live: true });
  }

  /** How far the others are decides the status of own messages. */
  #watermarks(): void {
    const { received, read } = this.standing.roster.farthest(this.#around.me() ?? '');
    for (const message of this.timeline.watermarks(received, read)) this.tell(message);
  }

  #tellIfNew(old: Message, message: Message): void {
    if (old.status !== message.status) this.tell(message);
  }

  /** Tells the application how far an own message is. */
  tell(message: Message): void {
    const { id, status, error } = message;
    this.#around.out.emit('message.status', { conversation: this.id, id, status, message, error });
  }

  #moved(seq: number): void {
    this.#position = { epoch: this.#around.epoch(), seq };
    this.#save();
  }

  #save(): void {
    const position = this.position;
    if (position === undefined || !this.wanted) return;
    const saved = { conversation: this.id, ...position, read: this.#read };
    this.#around.out.push({ type: 'savePosition', position: saved });
  }

  #sendReceipt(): void {
    this.#receiptAt = undefined;
    if (!this.wanted || this.lane === undefined || this.phase === 'opening') return;
    // Only members have watermarks; staff who look in have none.
    if (!this.standing.roster.mayHold(this.#around.me() ?? '')) return;
    const marks = { received: this.#position?.seq ?? 0, read: this.#read };
    if (marks.received <= this.#sent.received && marks.read <= this.#sent.read) return;
    this.#sent = { received: marks.received, read: Math.max(marks.read, this.#sent.read) };
    this.#around.out.command(this.lane, { type: 'Receipt', body: this.#sent });
  }

  #updated(): void {
    this.#around.out.emit('conversation.updated', { conversation: this.id, entry: undefined });
  }
}
