/**
 * All conversations of a client: which lane belongs to which, and the way of one's own messages from the outbox through a
 * lane into the log. A lane is opened for a conversation that is shown, and for one in which something waits to be sent.
 */
import type { SendOptions } from '../api';
import { DuetError } from '../errors';
import type { Durability } from '../protocol/command';
import type { Delivery, Published, Refusal } from '../protocol/delivery';
import { newMessageId } from '../protocol/ids';
import { Code, isRetryable } from '../protocol/reject';
import type { Content, Message, Presence } from '../values';
import { fromWire, message as messageOf, toWire } from './convert';
import { earlier, type Entropy, type Out, type OutboxEntry, type SavedPosition } from './effect';
import { Feed } from './feed';
import { Outbox } from './outbox';

/** What the conversations need to know of the rest of the client. */
export interface Context {
  readonly out: Out;
  readonly entropy: Entropy;
  readonly backlog: number;
  readonly outboxMessagesMax: number;
  readonly outboxBytesMax: number;
  /** What a message asks for unless it says otherwise. */
  readonly durability: Durability;
  readonly positions: readonly SavedPosition[];
  me(): string | undefined;
  /** `tenant/user`, or empty. */
  owner(): string;
  epoch(): number;
  /** Something was sent that is answered at once as a rule. */
  expect(now: number): void;
  /** These conversations could not go on where they had stopped. */
  partly(missing: readonly string[]): void;
  serverTime(now: number): number;
  messageBytesMax(): number;
}

/** How long to hold a message that was refused for now, when the server does not say, milliseconds. */
const HOLD_MS = 1_000;
/** Refusals after which an id can no longer be told from a repetition. */
const SPENT: readonly number[] = [
  Code.OUTBOX_EXPIRED,
  Code.DUPLICATE_UNKNOWN,
  Code.DUPLICATE_DIFFERS,
  Code.CLOCK_SKEW,
];

/** The conversations of a client. */
export class Conversations {
  readonly #context: Context;
  readonly #outbox: Outbox;
  readonly #feeds = new Map<string, Feed>();
  readonly #byLane = new Map<number, Feed>();
  /** On how many disks the last acknowledged message was. */
  replicas: number | undefined;
  #lanes = 0;
  /** Conversations that have to go on from their positions since the last welcome, and those of them that could not. */
  #returning = new Set<string>();
  #missing: string[] = [];

  constructor(context: Context) {
    this.#context = context;
    this.#outbox = new Outbox(context.out, context.outboxMessagesMax, context.outboxBytesMax);
  }

  /** The conversation with this id; made if it is new. */
  feed(id: string): Feed {
    let feed = this.#feeds.get(id);
    if (feed === undefined) {
      const { out, backlog, positions } = this.#context;
      feed = new Feed(
        id,
        {
          out,
          me: () => this.#context.me(),
          epoch: () => this.#context.epoch(),
          nextLane: lane => this.#assign(lane),
          settled: message => this.#outbox.remove(message),
        },
        backlog,
        positions.find(position => position.conversation === id),
      );
      this.#feeds.set(id, feed);
      for (const entry of this.#outbox.entries(id)) feed.timeline.echo(this.#echoOf(entry));
    }
    return feed;
  }

  /** A lane number that was never used on this connection. */
  nextLane(): number {
    this.#lanes += 1;
    return this.#lanes;
  }

  unsubscribe(now: number, conversation: string): void {
    this.feed(conversation).unsubscribe();
    this.#outbox.grounded(conversation);
    this.pump(now, conversation);
  }

  /** Whether a message of the user waits to be published. */
  get waits(): boolean {
    return this.#outbox.waiting(this.#context.owner()).length > 0;
  }

  /** Queues a message. Throws `outbox_full` or `too_large`. */
  send(now: number, conversation: string, content: string | Content, options: SendOptions): Message {
    const wire = toWire(content);
    const max = this.#context.messageBytesMax();
    if (wire.body.length > max) {
      throw new DuetError(Code.TOO_LARGE, `${wire.body.length} bytes are above the limit of ${max}`);
    }
    if (options.durability === 'ephemeral' && this.#context.out.link === undefined) {
      throw new DuetError(Code.TRANSPORT_CLOSED, 'an ephemeral message does not wait for a connection');
    }
    const queuedAt = this.#context.serverTime(now);
    const feed = this.feed(conversation);
    const entry: OutboxEntry = {
      id: newMessageId(queuedAt, this.#context.entropy.bytes(10)),
      conversation,
      owner: this.#context.owner(),
      content: wire,
      replyTo: options.replyTo,
      durability: options.durability ?? this.#context.durability,
      queuedAt,
      failed: undefined,
    };
    this.#outbox.add(entry);
    const message = this.#echoOf(entry);
    feed.timeline.echo(message);
    this.#context.out.emit('message.created', { conversation, message, live: true });
    this.pump(now, conversation);
    return message;
  }

  /** Sends a failed message again, as a new one where its old id can no longer be told from a repetition. */
  retry(now: number, conversation: string, id: string): Message {
    const entry = this.#outbox.find(id);
    if (entry?.failed === undefined) throw new DuetError(Code.NOT_FOUND, 'no failed message has this id');
    if (SPENT.includes(entry.failed.code)) {
      this.discard(conversation, id);
      const { replyTo, durability } = entry;
      const options = replyTo === undefined ? { durability } : { durability, replyTo };
      return this.send(now, conversation, fromWire(entry.content), options);
    }
    this.#outbox.revive(id);
    const feed = this.feed(conversation);
    const message = feed.timeline.queued(id);
    if (message !== undefined) feed.tell(message);
    this.pump(now, conversation);
    return message ?? this.#echoOf({ ...entry, failed: undefined });
  }

  /** Takes a failed message away. */
  discard(conversation: string, id: string): void {
    if (this.#outbox.find(id)?.failed === undefined) return;
    this.#outbox.remove(id);
    this.feed(conversation).timeline.discard(id);
    this.#context.out.emit('conversation.updated', { conversation, entry: undefined });
  }

  /** Messages of this user that an earlier page, or a tab that is gone, has left behind. */
  restore(now: number, entries: readonly OutboxEntry[]): void {
    for (const entry of entries) {
      if (entry.owner !== this.#context.owner() || this.#outbox.find(entry.id) !== undefined) continue;
      const known = this.#feeds.get(entry.conversation);
      if (known?.timeline.find(entry.id) !== undefined) continue;
      this.#outbox.add(entry, true);
      const message = this.#echoOf(entry);
      known?.timeline.echo(message);
      this.#context.out.emit('message.created', { conversation: entry.conversation, message, live: true });
      this.pump(now, entry.conversation);
    }
  }

  /** Sends what may be sent in a conversation, opening or finishing its lane as needed. */
  pump(now: number, conversation: string): void {
    const { out } = this.#context;
    const owner = this.#context.owner();
    if (owner === '' || out.link === undefined) return;
    const feed = this.feed(conversation);
    const waiting = this.#outbox.waiting(owner).includes(conversation);
    if (!feed.wanted && !waiting && feed.phase !== 'shut') feed.shut();
    if (!waiting) return;
    feed.ensure(now);
    if (feed.lane === undefined || feed.phase === 'shut' || feed.phase === 'opening') return;
    const entry = this.#outbox.take(now, conversation, owner);
    if (entry === undefined) return;
    const { id, content, replyTo, durability } = entry;
    out.command(feed.lane, { type: 'Publish', body: { id, content, replyTo, durability } });
    this.#context.expect(now);
  }

  /** A new connection: everything that is shown or waits to be sent gets a lane. */
  welcomed(now: number): void {
    this.#outbox.adopt(this.#context.owner());
    const shown = [...this.#feeds.values()].filter(feed => feed.wanted && feed.position !== undefined);
    this.#returning = new Set(shown.map(({ id }) => id));
    this.#missing = [];
    for (const feed of this.#feeds.values()) if (feed.wanted) feed.ensure(now);
    for (const conversation of this.#outbox.waiting(this.#context.owner())) this.pump(now, conversation);
  }

  /** Nothing of the previous connection holds any more. */
  unlink(): void {
    this.#byLane.clear();
    this.#lanes = 0;
    for (const entry of this.#outbox.takeEphemeral()) this.#failed(entry);
    this.#outbox.grounded();
    for (const feed of this.#feeds.values()) feed.lost();
  }

  /** Another user has signed in: what is loaded is not theirs. What the host has stored stays there. */
  reset(): void {
    this.#outbox.forgetOthers(this.#context.owner());
    for (const feed of this.#feeds.values()) feed.reset();
  }

  refuse(error: DuetError): void {
    for (const feed of this.#feeds.values()) feed.refuse(error);
  }

  close(): void {
    for (const feed of this.#feeds.values()) if (feed.wanted) feed.unsubscribe();
  }

  /** A frame of a conversation lane. */
  frame(now: number, lane: number, delivery: Delivery): void {
    const feed = this.#byLane.get(lane);
    if (feed?.lane !== lane) return;
    switch (delivery.type) {
      case 'Opened':
        this.#returned(feed.id, feed.opened(delivery.body));
        this.pump(now, feed.id);
        break;
      case 'Event':
        feed.event(now, delivery.body);
        this.pump(now, feed.id);
        break;
      case 'CaughtUp':
        feed.caughtUp(now);
        break;
      case 'Published':
        this.#published(now, feed, delivery.body);
        break;
      case 'Ephemeral': {
        const { author, content } = delivery.body;
        const id = newMessageId(this.#context.serverTime(now), this.#context.entropy.bytes(10));
        const at = this.#context.serverTime(now);
        feed.heard(
          messageOf(
            feed.id,
            { seq: undefined, atMs: at, author },
            { id, content, replyTo: undefined },
            false,
          ),
        );
        break;
      }
      case 'ReceiptUpdated':
        feed.receipt(delivery.body.user, delivery.body.received, delivery.body.read);
        break;
      case 'Unsubscribed':
        this.#ended(now, feed, delivery.body.code, delivery.body.reason, 0);
        break;
      case 'Refused':
        this.#refused(now, feed, delivery.body);
        break;
      default:
        break;
    }
  }

  /** Somebody's presence changed: members show it. */
  seen(value: Presence): void {
    for (const feed of this.#feeds.values()) feed.roster.seen(value);
  }

  /** The conversation that a lane belongs to. */
  laneOf(lane: number): string | undefined {
    return this.#byLane.get(lane)?.id;
  }

  /** The carrier of a lane ended. */
  laneDown(now: number, lane: number): void {
    const feed = this.#byLane.get(lane);
    this.#byLane.delete(lane);
    if (feed?.lane !== lane) return;
    this.#outbox.grounded(feed.id);
    feed.laneDown(now);
  }

  tick(now: number): void {
    for (const feed of this.#feeds.values()) feed.tick(now);
    for (const entry of this.#outbox.expire(this.#context.serverTime(now))) this.#failed(entry);
    for (const conversation of this.#outbox.overdue(now)) {
      this.#outbox.grounded(conversation);
      this.feed(conversation).reopen(now);
    }
    for (const conversation of this.#outbox.released(now)) this.pump(now, conversation);
  }

  deadline(): number | undefined {
    let next = this.#outbox.deadline();
    for (const feed of this.#feeds.values()) next = earlier(next, feed.deadline());
    return next;
  }

  /** A conversation has told whether it goes on; after the last one it is known what became of the session. */
  #returned(conversation: string, whole: boolean): void {
    if (!this.#returning.delete(conversation)) return;
    if (!whole) this.#missing.push(conversation);
    if (this.#returning.size === 0 && this.#missing.length > 0) this.#context.partly(this.#missing.splice(0));
  }

  #assign(feed: Feed): number {
    const lane = this.nextLane();
    this.#outbox.grounded(feed.id);
    this.#byLane.set(lane, feed);
    return lane;
  }

  #published(now: number, feed: Feed, published: Published): void {
    const { id, seq, atMs, durability, replicas } = published;
    if (seq !== 0) this.replicas = replicas;
    if (this.#outbox.remove(id) !== undefined || feed.timeline.find(id)?.status === 'accepted') {
      const mirrored = durability === 'mirrored' || replicas >= 2;
      const message = feed.timeline.accepted(id, seq === 0 ? undefined : seq, atMs, {
        mirrored,
        replicas,
      });
      if (message !== undefined) feed.tell(message);
      if (seq === 0) feed.timeline.discard(id);
    }
    this.pump(now, feed.id);
  }

  #refused(now: number, feed: Feed, refusal: Refusal): void {
    const { subject, code, message, retryAfterMs } = refusal;
    if (subject.type === 'message') {
      // "Not durable now" is for whoever asked for that much to decide; the rest of what may pass by itself waits.
      if (isRetryable(code) && code !== Code.NOT_DURABLE_NOW) {
        this.#outbox.hold(now, subject.value, Math.max(retryAfterMs, HOLD_MS));
        return;
      }
      const entry = this.#outbox.fail(subject.value, code, message);
      if (entry !== undefined) this.#failed(entry);
      this.pump(now, feed.id);
    } else if (feed.phase === 'opening') {
      this.#ended(now, feed, code, message, retryAfterMs);
    } else {
      this.#context.out.emit('error', new DuetError(code, message, retryAfterMs));
    }
  }

  /** A subscription ended; when that is for good, what waits to be sent there has no way any more. */
  #ended(now: number, feed: Feed, code: number, reason: string, retryAfterMs: number): void {
    this.#outbox.grounded(feed.id);
    const error = feed.ended(now, code, reason, retryAfterMs);
    if (error === undefined) return;
    this.#returned(feed.id, false);
    for (const { id, failed } of this.#outbox.entries(feed.id)) {
      const entry = failed === undefined ? this.#outbox.fail(id, code, reason) : undefined;
      if (entry !== undefined) this.#failed(entry);
    }
  }

  #failed(entry: OutboxEntry): void {
    const feed = this.feed(entry.conversation);
    const { code, message } = entry.failed ?? { code: Code.TRANSPORT_CLOSED, message: '' };
    const shown = feed.timeline.failed(entry.id, new DuetError(code, message));
    if (shown !== undefined) feed.tell(shown);
  }

  #echoOf(entry: OutboxEntry): Message {
    const author = this.#context.me() ?? '';
    const event = { seq: undefined, atMs: entry.queuedAt, author };
    const message = messageOf(entry.conversation, event, entry, true);
    if (entry.failed === undefined) return { ...message, status: 'queued' };
    return { ...message, status: 'failed', error: new DuetError(entry.failed.code, entry.failed.message) };
  }
}
