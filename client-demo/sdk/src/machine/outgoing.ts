/**
 * What the user says, from the call of the application to the answer of the server: messages, notes and changes wait in the outbox, are
 * shown at once where they belong, and are told how far they are. Which lane they leave on is the conversations' business.
 */
import type { ChangeOptions, SendOptions } from '../api';
import { DuetError } from '../errors';
import type { Durability } from '../protocol/command';
import type { Published } from '../protocol/delivery';
import type { Content as WireContent } from '../protocol/event';
import { newMessageId } from '../protocol/ids';
import { Code, isRetryable } from '../protocol/reject';
import type { Content, Message, PendingChange } from '../values';
import { type Act, commandOf, ownChangeOf, targetOf } from './acts';
import type { Change } from './changes';
import { fromWire, message as messageOf, toWire } from './convert';
import type { Entropy, Out, OutboxEntry } from './effect';
import type { Feed } from './feed';
import { Outbox } from './outbox';

/** How long to hold what was refused for now, when the server does not say, milliseconds. */
const HOLD_MS = 1_000;
/** Refusals after which an id can no longer be told from a repetition. */
const SPENT: readonly number[] = [
  Code.OUTBOX_EXPIRED,
  Code.DUPLICATE_UNKNOWN,
  Code.DUPLICATE_DIFFERS,
  Code.CLOCK_SKEW,
];
const NOTHING: WireContent = { format: 0, body: new Uint8Array() };

/** What it needs of the rest of the client. */
export interface Desk {
  readonly out: Out;
  readonly entropy: Entropy;
  /** What a message asks for unless it says otherwise. */
  readonly durability: Durability;
  readonly outboxMessagesMax: number;
  readonly outboxBytesMax: number;
  me(): string | undefined;
  /** `tenant/user`, or empty. */
  owner(): string;
  serverTime(now: number): number;
  messageBytesMax(): number;
  /** Whether the server takes notes and changes; `undefined` while that is not known. */
  amends(): boolean | undefined;
  feed(conversation: string): Feed;
}

/** What waits to be said. */
export class Outgoing {
  readonly outbox: Outbox;
  readonly #desk: Desk;
  #latest = 0;

  constructor(desk: Desk) {
    this.#desk = desk;
    this.outbox = new Outbox(desk.out, desk.outboxMessagesMax, desk.outboxBytesMax);
  }

  /** Queues a message, or (`note`) a note. Throws `outbox_full` or `too_large`. */
  send(
    now: number,
    conversation: string,
    content: string | Content,
    options: SendOptions,
    note = false,
  ): Message {
    const wire = this.#checked(content);
    if (options.durability === 'ephemeral' && (note || this.#desk.out.link === undefined)) {
      throw new DuetError(Code.TRANSPORT_CLOSED, 'an ephemeral message does not wait for a connection');
    }
    const entry = this.#entry(now, conversation, { content: wire, ...options }, note ? NOTE : undefined);
    this.outbox.add(entry);
    const message = this.#echoOf(entry);
    this.#desk.feed(conversation).timeline.echo(message);
    this.#desk.out.emit('message.created', { conversation, message, live: true });
    return message;
  }

  /** Queues a change of a message; returns its id. Throws `outbox_full` or `too_large`. */
  change(
    now: number,
    conversation: string,
    change: Exclude<Act, { type: 'note' }> & { readonly content?: string | Content },
    options: ChangeOptions,
  ): string {
    const { content, ...act } = change;
    const wire = content === undefined ? NOTHING : this.#checked(content);
    const entry = this.#entry(now, conversation, { content: wire, ...options }, act);
    this.outbox.add(entry);
    this.#changing(entry);
    return entry.id;
  }

  /** Tries what failed again, as something new where its old id can no longer be told from a repetition. */
  retry(now: number, conversation: string, id: string): Message | undefined {
    const entry = this.outbox.find(id);
    if (entry?.failed === undefined) throw new DuetError(Code.NOT_FOUND, 'nothing failed has this id');
    if (SPENT.includes(entry.failed.code)) return this.#anew(now, conversation, entry);
    this.outbox.revive(id);
    const revived = { ...entry, failed: undefined };
    if (targetOf(entry) !== undefined) {
      this.#changing(revived);
      return undefined;
    }
    const feed = this.#desk.feed(conversation);
    const message = feed.timeline.queued(id);
    if (message !== undefined) feed.tell(message);
    return message ?? this.#echoOf(revived);
  }

  /** Takes away what failed. */
  discard(conversation: string, id: string): void {
    const entry = this.outbox.find(id);
    if (entry?.failed === undefined) return;
    this.outbox.remove(id);
    const feed = this.#desk.feed(conversation);
    const target = targetOf(entry);
    if (target === undefined) feed.timeline.discard(id);
    else this.#retold(feed, feed.timeline.unchanged(target, id), entry);
    this.#desk.out.emit('conversation.updated', { conversation, entry: undefined });
  }

  /** What this user said in an earlier page, or in a tab that is gone; returns where. */
  restore(entries: readonly OutboxEntry[], known: (conversation: string) => Feed | undefined): string[] {
    const fresh = entries.filter(({ id, owner, conversation }) => {
      const isNew = this.outbox.find(id) === undefined && owner === this.#desk.owner();
      return isNew && known(conversation)?.timeline.find(id) === undefined;
    });
    for (const entry of fresh) {
      this.outbox.add(entry, true);
      const feed = known(entry.conversation);
      if (feed !== undefined) this.echo(feed, entry);
      if (targetOf(entry) !== undefined) continue;
      const message = this.#echoOf(entry);
      this.#desk.out.emit('message.created', { conversation: entry.conversation, message, live: true });
    }
    return fresh.map(({ conversation }) => conversation);
  }

  /** Shows what waits in a conversation that has just been made. */
  echo(feed: Feed, entry: OutboxEntry): void {
    const target = targetOf(entry);
    const change = ownChangeOf(entry);
    if (target === undefined || change === undefined) feed.timeline.echo(this.#echoOf(entry));
    else feed.timeline.changing(target, change, pendingOf(entry));
  }

  /** Sends the next of what waits in a conversation on its lane; `true` when something left. */
  sendNext(now: number, feed: Feed, lane: number): boolean {
    const owner = this.#desk.owner();
    let entry = this.outbox.take(now, feed.id, owner);
    while (entry?.act !== undefined && this.#desk.amends() === false) {
      this.failed(this.outbox.fail(entry.id, Code.BAD_REQUEST, 'this server takes no changes or notes'));
      entry = this.outbox.take(now, feed.id, owner);
    }
    return entry !== undefined && this.#desk.out.command(lane, commandOf(entry));
  }

  /** The server has stored it. */
  published(feed: Feed, published: Published): void {
    const { id, seq, atMs: at, durability, replicas } = published;
    const entry = this.outbox.remove(id);
    const change = entry && acceptedChange(entry, { seq, at, author: this.#desk.me() });
    if (entry !== undefined && change !== undefined) {
      feed.changed(change);
      this.#accepted(entry, change.target);
      return;
    }
    if (entry === undefined && feed.timeline.find(id)?.status !== 'accepted') return;
    const mirrored = durability === 'mirrored' || replicas >= 2;
    const place = seq === 0 ? undefined : seq;
    const message = feed.timeline.accepted(id, place, at, { mirrored, replicas });
    if (message !== undefined) feed.tell(message);
    if (seq === 0) feed.timeline.discard(id);
  }

  /** The server refuses it, for now or for good. */
  refused(now: number, id: string, code: number, message: string, retryAfterMs: number): void {
    // "Not durable now" is for whoever asked for that much to decide; the rest of what may pass by itself waits.
    if (isRetryable(code) && code !== Code.NOT_DURABLE_NOW) {
      this.outbox.hold(now, id, Math.max(retryAfterMs, HOLD_MS));
    } else this.failed(this.outbox.fail(id, code, message));
  }

  /** An own change was found in the log, or an own message. */
  settled(id: string): void {
    const entry = this.outbox.remove(id);
    const target = entry && targetOf(entry);
    if (entry !== undefined && target !== undefined) this.#accepted(entry, target);
  }

  /** Shows why something was not taken. */
  failed(entry: OutboxEntry | undefined): void {
    if (entry === undefined) return;
    const feed = this.#desk.feed(entry.conversation);
    const { code, message } = entry.failed ?? { code: Code.TRANSPORT_CLOSED, message: '' };
    if (targetOf(entry) !== undefined) {
      this.#changing(entry);
      return;
    }
    const shown = feed.timeline.failed(entry.id, new DuetError(code, message));
    if (shown !== undefined) feed.tell(shown);
  }

  #accepted({ id, conversation }: OutboxEntry, target: number): void {
    const told = { id, conversation, target, status: 'accepted', error: undefined } as const;
    this.#desk.out.emit('change.status', told);
  }

  /** Shows one's own change, or why it was refused. */
  #changing(entry: OutboxEntry): void {
    const feed = this.#desk.feed(entry.conversation);
    const [target, change] = [targetOf(entry), ownChangeOf(entry)];
    if (target === undefined || change === undefined) return;
    const pending = pendingOf(entry);
    this.#retold(feed, feed.timeline.changing(target, change, pending), entry);
    const status = pending.error === undefined ? 'queued' : 'failed';
    const { id, conversation } = entry;
    this.#desk.out.emit('change.status', { id, conversation, target, status, error: pending.error });
  }

  #retold(feed: Feed, message: Message | undefined, { act }: OutboxEntry): void {
    if (message === undefined || act === undefined || act.type === 'note') return;
    feed.updated(message, PAST[act.type], this.#desk.me());
  }

  #anew(now: number, conversation: string, entry: OutboxEntry): Message | undefined {
    this.discard(conversation, entry.id);
    const { replyTo, durability, act } = entry;
    const options = replyTo === undefined ? { durability } : { durability, replyTo };
    const content = fromWire(entry.content);
    if (act === undefined || act.type === 'note') {
      return this.send(now, conversation, content, options, act !== undefined);
    }
    const rest = act.type === 'edit' ? { content } : {};
    const safety = durability === 'ephemeral' ? {} : { durability };
    this.change(now, conversation, { ...act, ...rest }, safety);
    return undefined;
  }

  #checked(content: string | Content): WireContent {
    const wire = toWire(content);
    const max = this.#desk.messageBytesMax();
    if (wire.body.length <= max) return wire;
    throw new DuetError(Code.TOO_LARGE, `${wire.body.length} bytes are above the limit of ${max}`);
  }

  #entry(
    now: number,
    conversation: string,
    what: { readonly content: WireContent; readonly replyTo?: number; readonly durability?: Durability },
    act: Act | undefined,
  ): OutboxEntry {
    // No two at the same time: that is the order in which they leave after a reload.
    const queuedAt = Math.max(this.#desk.serverTime(now), this.#latest + 1);
    this.#latest = queuedAt;
    return {
      id: newMessageId(queuedAt, this.#desk.entropy.bytes(10)),
      conversation,
      owner: this.#desk.owner(),
      act,
      content: what.content,
      replyTo: what.replyTo,
      durability: what.durability ?? this.#desk.durability,
      queuedAt,
      failed: undefined,
    };
  }

  #echoOf(entry: OutboxEntry): Message {
    const author = this.#desk.me() ?? '';
    const event = { seq: undefined, atMs: entry.queuedAt, author };
    const message = messageOf(entry.conversation, event, entry, true);
    const echo = { ...message, private: entry.act?.type === 'note' };
    if (entry.failed === undefined) return { ...echo, status: 'queued' };
    return { ...echo, status: 'failed', error: new DuetError(entry.failed.code, entry.failed.message) };
  }
}

const NOTE: Act = { type: 'note' };
const PAST = { edit: 'edited', delete: 'deleted', react: 'reacted' } as const;

function pendingOf({ id, act, queuedAt: at, failed }: OutboxEntry): PendingChange {
  const type = act === undefined || act.type === 'note' ? 'edit' : act.type;
  return { id, type, at, error: failed && new DuetError(failed.code, failed.message) };
}

/** The change as the log will tell it; `undefined` for what is no change. */
function acceptedChange(
  entry: OutboxEntry,
  place: { readonly seq: number; readonly at: number; readonly author: string | undefined },
): Change | undefined {
  const [target, own] = [targetOf(entry), ownChangeOf(entry)];
  if (target === undefined || own === undefined) return undefined;
  const base = { kind: 'change', id: entry.id, target, ...place } as const;
  switch (own.type) {
    case 'edit':
      return { ...base, type: 'edited', content: own.content };
    case 'delete':
      return { ...base, type: 'deleted' };
    case 'react':
      return { ...base, type: 'reacted', emoji: own.emoji, on: own.on };
  }
}
