/** One conversation, as the application holds it: a view on the machine's feed, and the calls that concern it. */
import type {
  ChangeOptions,
  Changing,
  ClientEvents,
  Conversation,
  ConversationEvent,
  SendOptions,
  Sent,
  SubscribeOptions,
} from '../api';
import type { Emitter } from '../emitter';
import { DuetError } from '../errors';
import type { Driver } from '../host/driver';
import type { Conversations } from '../machine/conversations';
import type { Feed } from '../machine/feed';
import type { Command } from '../protocol/command';
import { Code } from '../protocol/reject';
import type {
  Content,
  ConversationKind,
  ConversationStatus,
  HistoryPage,
  Member,
  Message,
  Position,
  QuickReply,
  TimelineEntry,
} from '../values';
import { SentChange, SentMessage } from './sent';

const HISTORY_LIMIT = 50;

/** The conversation with one id. */
export class ConversationFace implements Conversation {
  readonly id: string;
  readonly typing = {
    keystroke: (): void => {
      this.#driver.run((machine, now) => {
        machine.keystroke(now, this.id);
      });
    },
    stop: (): void => {
      this.#driver.run((machine, now) => {
        machine.stopTyping(now, this.id);
      });
    },
  };
  readonly #driver: Driver;
  readonly #emitter: Emitter<ClientEvents>;
  /** How often it was unsubscribed. */
  #unsubscribed = 0;
  #messages: { readonly of: readonly TimelineEntry[]; readonly list: readonly Message[] } | undefined;

  constructor(id: string, driver: Driver, emitter: Emitter<ClientEvents>) {
    this.id = id;
    this.#driver = driver;
    this.#emitter = emitter;
  }

  get subscription(): 'unsubscribed' | 'subscribing' | 'subscribed' {
    if (!this.#feed.wanted) return 'unsubscribed';
    return this.#feed.phase === 'live' ? 'subscribed' : 'subscribing';
  }

  get kind(): ConversationKind | undefined {
    return this.#feed.standing.kind;
  }

  get status(): ConversationStatus | undefined {
    return this.#feed.standing.status;
  }

  get subject(): string | undefined {
    return this.#feed.standing.subject;
  }

  get assignee(): string | undefined {
    return this.#feed.standing.assignee;
  }

  get members(): readonly Member[] {
    return this.#feed.standing.roster.list;
  }

  get memberCount(): number {
    return this.#feed.standing.roster.count;
  }

  get head(): number {
    return this.#feed.head;
  }

  get first(): number {
    return this.#feed.timeline.first ?? 0;
  }

  get position(): Position | undefined {
    return this.#feed.position;
  }

  get read(): number {
    return this.#feed.read;
  }

  get unread(): number {
    const { timeline, read } = this.#feed;
    const loaded = timeline.unreadAfter(read);
    if (timeline.first !== undefined && timeline.first <= read + 1) return loaded;
    // What is older than the window was counted by the server, unless it has been read since.
    const told = this.#driver.machine.inbox.find(this.id);
    return told !== undefined && told.read >= read ? Math.max(told.unread, loaded) : loaded;
  }

  get typists(): readonly string[] {
    return this.#driver.machine.typing.typists(this.id);
  }

  get timeline(): readonly TimelineEntry[] {
    return this.#feed.timeline.entries;
  }

  get messages(): readonly Message[] {
    const entries = this.timeline;
    if (this.#messages?.of !== entries) {
      this.#messages = { of: entries, list: entries.filter(entry => entry.kind === 'message') };
    }
    return this.#messages.list;
  }

  message(id: string): Message | undefined {
    return this.#feed.timeline.find(id);
  }

  subscribe(options: SubscribeOptions = {}): Promise<void> {
    const open = options.latest === undefined && options.after === undefined && !this.#feed.wanted;
    return open && this.#driver.tellsState ? this.#subscribeFromState() : this.#subscribe(options);
  }

  /** Asks the application where it stands, and goes on from there unless it has unsubscribed meanwhile. */
  async #subscribeFromState(): Promise<void> {
    const unsubscribed = this.#unsubscribed;
    const after = await this.#driver.stateOf(this.id);
    if (unsubscribed !== this.#unsubscribed) throw new DuetError(Code.UNSUBSCRIBED);
    await this.#subscribe(after === undefined ? {} : { after });
  }

  #subscribe(options: SubscribeOptions): Promise<void> {
    return this.#driver.call((machine, now, call) => {
      machine.subscribe(now, this.id, options, call);
    });
  }

  unsubscribe(): void {
    this.#unsubscribed += 1;
    this.#driver.run((machine, now) => {
      machine.conversations.unsubscribe(now, this.id);
    });
  }

  send(content: string | Content, options: SendOptions = {}): Sent {
    return this.#driver.run((machine, now) => {
      machine.stopTyping(now, this.id);
      return new SentMessage(this.#driver, machine.conversations.send(now, this.id, content, options));
    });
  }

  note(content: string | Content, options: SendOptions = {}): Sent {
    return this.#driver.run((machine, now) => {
      return new SentMessage(this.#driver, machine.conversations.send(now, this.id, content, options, true));
    });
  }

  choose(card: Message, { label, value }: QuickReply): Sent {
    const options = card.seq === undefined ? {} : { replyTo: card.seq };
    if (value === label) return this.send(label, options);
    return this.send({ format: 'card', card: { fallback: label, reply: value } }, options);
  }

  edit(seq: number, content: string | Content, options: ChangeOptions = {}): Changing {
    return this.#change({ type: 'edit', target: seq, content }, options);
  }

  delete(seq: number, options: ChangeOptions = {}): Changing {
    return this.#change({ type: 'delete', target: seq }, options);
  }

  react(seq: number, emoji: string, on = true): Changing {
    return this.#change({ type: 'react', target: seq, emoji, on }, {});
  }

  retry(id: string): void {
    this.#driver.run((machine, now) => {
      machine.conversations.retry(now, this.id, id);
    });
  }

  discard(id: string): void {
    this.#driver.run(machine => {
      machine.conversations.discard(this.id, id);
    });
  }

  history(options: { before?: number; after?: number; limit?: number } = {}): Promise<HistoryPage> {
    const { before, after, limit = HISTORY_LIMIT } = options;
    const start = before ?? this.#feed.timeline.first ?? Number.MAX_SAFE_INTEGER;
    const page =
      after === undefined
        ? ({ type: 'before', value: start } as const)
        : ({ type: 'after', value: after } as const);
    return this.#driver.call((machine, now, call) => {
      machine.history(now, this.id, page, Math.min(500, Math.max(1, limit)), call);
    });
  }

  markRead(seq = this.#feed.head): void {
    this.#driver.run((_, now) => {
      this.#feed.markRead(now, seq);
    });
  }

  assign(agent?: string): Promise<void> {
    return this.#ask(request => ({ type: 'Assign', body: { request, conversation: this.id, agent } }));
  }

  resolve(): Promise<void> {
    return this.#setStatus('resolved');
  }

  close(): Promise<void> {
    return this.#setStatus('closed');
  }

  addMembers(users: readonly string[]): Promise<void> {
    return this.#ask(request => ({ type: 'AddMembers', body: { request, conversation: this.id, users } }));
  }

  removeMember(user: string): Promise<void> {
    return this.#ask(request => ({ type: 'RemoveMember', body: { request, conversation: this.id, user } }));
  }

  on<K extends ConversationEvent>(event: K, listener: (data: ClientEvents[K]) => void): () => void {
    return this.#emitter.on(event, data => {
      if (data.conversation === this.id || data.conversation === undefined) listener(data);
    });
  }

  #change(change: Parameters<Conversations['change']>[2], options: ChangeOptions): Changing {
    return this.#driver.run((machine, now) => {
      const id = machine.conversations.change(now, this.id, change, options);
      return new SentChange(this.#emitter, id);
    });
  }

  get #feed(): Feed {
    return this.#driver.machine.conversations.feed(this.id);
  }

  #setStatus(status: ConversationStatus): Promise<void> {
    return this.#ask(request => ({ type: 'SetStatus', body: { request, conversation: this.id, status } }));
  }

  /** All of these change nothing when they are done twice, so they may be repeated on the next connection. */
  #ask(build: (request: number) => Command): Promise<void> {
    return this.#driver.call((machine, now, call) => {
      machine.request(now, build, call);
    });
  }
}
