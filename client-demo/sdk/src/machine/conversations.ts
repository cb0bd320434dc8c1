/**
 * All conversations of a client: which lane belongs to which, and the way of one's own messages from the outbox through a
 * lane into the log. A lane is opened for a conversation that is shown, and for one in which something waits to be sent.
 */
import type { ChangeOptions, SendOptions } from '../api';
import { DuetError } from '../errors';
import type { Durability } from '../protocol/command';
import type { Delivery, Published, Refusal } from '../protocol/delivery';
import { newMessageId } from '../protocol/ids';
import type { Content, Message, Presence } from '../values';
import { message as messageOf } from './convert';
import { earlier, type Entropy, type Out, type OutboxEntry, type SavedPosition } from './effect';
import { Feed } from './feed';
import type { Outbox } from './outbox';
import { Outgoing } from './outgoing';

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
  /** Whether the server takes notes and changes; `undefined` while that is not known. */
  amends(): boolean | undefined;
}

/** The conversations of a client. */
export class Conversations {
  readonly #context: Context;
  readonly #outgoing: Outgoing;
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
    this.#outgoing = new Outgoing({ ...context, feed: id => this.feed(id) });
    this.#outbox = this.#outgoing.outbox;
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
          settled: message => {
            this.#outgoing.settled(message);
          },
        },
        backlog,
        positions.find(position => position.conversation === id),
      );
      this.#feeds.set(id, feed);
      for (const entry of this.#outbox.entries(id)) this.#outgoing.echo(feed, entry);
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

  /** Queues a message, or (`note`) a note among staff. Throws `outbox_full` or `too_large`. */
  send(
    now: number,
    conversation: string,
    content: string | Content,
    options: SendOptions,
    note = false,
  ): Message {
    const message = this.#outgoing.send(now, conversation, content, options, note);
    this.pump(now, conversation);
    return message;
  }

  /** Queues a change of a message, which is shown at once; returns the change's id. */
  change(
    now: number,
    conversation: string,
    change: Parameters<Outgoing['change']>[2],
    options: ChangeOptions,
  ): string {
    const id = this.#outgoing.change(now, conversation, change, options);
    this.pump(now, conversation);
    return id;
  }

  /** Tries what failed again; returns it if it is a message. */
  retry(now: number, conversation: string, id: string): Message | undefined {
    const message = this.#outgoing.retry(now, conversation, id);
    this.pump(now, conversation);
    return message;
  }

  /** Takes away what failed. */
  discard(conversation: string, id: string): void {
    this.#outgoing.discard(conversation, id);
  }

  /** What this user said in an earlier page, or in a tab that is gone. */
  restore(now: number, entries: readonly OutboxEntry[]): void {
    const where = this.#outgoing.restore(entries, conversation => this.#feeds.get(conversation));
    for (const conversation of new Set(where)) this.pump(now, conversation);
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
    if (this.#outgoing.sendNext(now, feed, feed.lane)) this.#context.expect(now);
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
    for (const entry of this.#outbox.takeEphemeral()) this.#outgoing.failed(entry);
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
    for (const feed of this.#feeds.values()) feed.standing.roster.seen(value);
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
    for (const entry of this.#outbox.expire(this.#context.serverTime(now))) this.#outgoing.failed(entry);
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
    if (published.seq !== 0) this.replicas = published.replicas;
    this.#outgoing.published(feed, published);
    this.pump(now, feed.id);
  }

  #refused(now: number, feed: Feed, refusal: Refusal): void {
    const { subject, code, message, retryAfterMs } = refusal;
    if (subject.type === 'message') {
      this.#outgoing.refused(now, subject.value, code, message, retryAfterMs);
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
      if (failed === undefined) this.#outgoing.failed(this.#outbox.fail(id, code, reason));
    }
  }
}
