/**
 * A server in one object, for the laws of the client: it keeps a log per conversation, knows message ids, resumes sessions, and can be
 * told to misbehave. It speaks in encoded frames, so that every law also passes through the codec.
 */
import type { Command } from '../src/protocol/command';
import { decodeCommand } from '../src/protocol/command';
import { type Delivery, encodeDelivery, type Member } from '../src/protocol/delivery';
import { encode } from '../src/protocol/codec';
import { type Event, EVENT_BODIES } from '../src/protocol/event';
import { type Frame, fromDatagram } from '../src/protocol/frame';
import type { Limits, Resumed, Role } from '../src/protocol/hello';

export const CONVERSATION = '019a7b0d-7e00-7abc-8def-010203040506';
export const LIMITS: Limits = {
  messageBytesMax: 16_384,
  lanesMax: 256,
  streamsMax: 24,
  pingEveryMs: 10_000,
  idleTimeoutMs: 30_000,
  presenceGraceMs: 30_000,
  resumeWindowMs: 120_000,
  dedupWindowMs: 86_400_000,
  typingTtlMs: 6_000,
};

type CommandOf<K extends Command['type']> = Extract<Command, { type: K }>['body'];
type Send = (lane: number, frame: Frame) => void;

interface Connection {
  readonly send: Send;
  readonly lanes: Map<number, string>;
  user: string;
  session: string | undefined;
}

/** What the server does with a publish: `accept`, `silence` (accepted, the answer is lost), or a refusal by code. */
export type Verdict = 'accept' | 'silence' | { readonly code: number; readonly retryAfterMs: number };

export class FakeServer {
  epoch = 3;
  role: Role = 'visitor';
  limits = LIMITS;
  /** Unix milliseconds of the server. */
  time: () => number;
  tokenExpiresMs = 0;
  peers: string[] = [];
  judge: (publish: CommandOf<'Publish'>) => Verdict = () => 'accept';
  /** How a hello is answered instead of with a welcome. */
  refuseHello: ((hello: CommandOf<'Hello'>) => Delivery | undefined) | undefined;
  /** With which code every request is refused. */
  refuseRequests: number | undefined;
  /** Forgets every session, as after its resume window. */
  sessions = new Map<string, string>();
  readonly logs = new Map<string, Event[]>();
  readonly members = new Map<string, Member[]>();
  readonly received: Command[] = [];
  /** Calls that nobody has answered yet. */
  readonly calls: CommandOf<'Call'>[] = [];
  /** Whether bits of capabilities are granted besides that for datagrams. */
  capabilities = 0xffff_ffffn;
  /** The code with which opening a conversation is refused. */
  refuseOpen: (conversation: string) => number | undefined = () => undefined;
  /** Most events of a backlog; behind a longer one the server begins later and says so. */
  backlogMax = Infinity;
  /** Hears that the server has ended a connection, after `Closing`. */
  ended: (link: number) => void = () => undefined;
  readonly #seen = new Map<string, number>();
  readonly #connections = new Map<number, Connection>();
  #sessionCount = 0;

  constructor(time: () => number) {
    this.time = time;
  }

  log(conversation = CONVERSATION): Event[] {
    const log = this.logs.get(conversation) ?? [];
    this.logs.set(conversation, log);
    return log;
  }

  /** The texts of a conversation's messages, in order. */
  texts(conversation = CONVERSATION): string[] {
    return this.log(conversation)
      .filter(event => event.kind === 1)
      .map(event => new TextDecoder().decode(event.body.subarray(18, -1)));
  }

  of<K extends Command['type']>(type: K): CommandOf<K>[] {
    return this.received
      .filter(command => command.type === type)
      .map(command => command.body as CommandOf<K>);
  }

  connected(link: number, send: Send): void {
    this.#connections.set(link, { send, lanes: new Map(), user: 'ann', session: undefined });
  }

  gone(link: number): void {
    this.#connections.delete(link);
  }

  hear(link: number, lane: number, inner: Uint8Array): void {
    const connection = this.#connections.get(link);
    const command = decodeCommand(fromDatagram(inner));
    if (connection === undefined || command === undefined) return;
    this.received.push(command);
    this.#answer(connection, lane, command);
  }

  /** Appends an event and tells everybody who has the conversation open. */
  append(author: string | undefined, kind: number, body: Uint8Array, conversation = CONVERSATION): Event {
    const log = this.log(conversation);
    const event = { seq: log.length + 1, atMs: this.time(), author, kind, body };
    log.push(event);
    this.broadcast({ type: 'Event', body: event }, conversation);
    return event;
  }

  /** Somebody says something. */
  say(author: string, text: string, id: string = crypto.randomUUID(), conversation = CONVERSATION): Event {
    const content = { format: 0, body: new TextEncoder().encode(text) };
    const body = encode(EVENT_BODIES.Message[1], { id, content, replyTo: undefined });
    return this.append(author, 1, body, conversation);
  }

  broadcast(delivery: Delivery, conversation = CONVERSATION): void {
    for (const connection of this.#connections.values()) {
      for (const [lane, name] of connection.lanes) {
        if (name === conversation) this.#tell(connection, lane, delivery);
      }
    }
  }

  /** Tells every connection on lane 0. */
  control(delivery: Delivery): void {
    for (const connection of this.#connections.values()) this.#tell(connection, 0, delivery);
  }

  /** Tells one link on lane 0. */
  tell(link: number, delivery: Delivery): void {
    const connection = this.#connections.get(link);
    if (connection !== undefined) this.#tell(connection, 0, delivery);
  }

  #tell(connection: Connection, lane: number, delivery: Delivery): void {
    connection.send(lane, fromDatagram(encodeDelivery(delivery)));
  }

  #answer(connection: Connection, lane: number, command: Command): void {
    const tell = (delivery: Delivery): void => {
      this.#tell(connection, lane, delivery);
    };
    if (this.refuseRequests !== undefined && 'request' in command.body && command.type !== 'Authenticate') {
      const subject = { type: 'request', value: command.body.request } as const;
      const refusal = { subject, code: this.refuseRequests, message: '', retryAfterMs: 0 };
      tell({ type: 'Refused', body: refusal });
      return;
    }
    switch (command.type) {
      case 'Hello':
        this.#hello(connection, command.body);
        break;
      case 'Ping':
        tell({ type: 'Pong', body: { nonce: command.body.nonce, serverTimeMs: this.time() } });
        break;
      case 'Authenticate':
        tell({
          type: 'Authenticated',
          body: { request: command.body.request, expiresMs: this.tokenExpiresMs },
        });
        break;
      case 'CreateConversation':
        tell({
          type: 'Created',
          body: { request: command.body.request, conversation: command.body.conversation },
        });
        break;
      case 'Open':
        this.#open(connection, lane, command.body);
        break;
      case 'Publish':
        this.#publish(connection, lane, command.body);
        break;
      case 'Amend':
      case 'Note':
        this.#amend(connection, lane, command);
        break;
      case 'Call':
        this.calls.push(command.body);
        break;
      case 'Close':
        connection.lanes.delete(lane);
        break;
      case 'HistoryRequest':
        this.#history(connection, lane, command.body);
        break;
      case 'SetAvailability':
      case 'WatchPresence':
      case 'WatchInbox':
      case 'Assign':
      case 'SetStatus':
      case 'AddMembers':
      case 'RemoveMember':
        tell({ type: 'Done', body: { request: command.body.request } });
        break;
      default:
        break;
    }
  }

  #hello(connection: Connection, hello: CommandOf<'Hello'>): void {
    const refusal = this.refuseHello?.(hello);
    if (refusal !== undefined) {
      this.#tell(connection, 0, refusal);
      return;
    }
    const asked = hello.resume && new TextDecoder().decode(hello.resume);
    const known = asked === undefined ? undefined : this.sessions.get(asked);
    const resumed: Resumed = asked === undefined ? 'new' : known === undefined ? 'none' : 'full';
    const user = known ?? subject(hello.token) ?? 'ann';
    const key = resumed === 'full' ? (asked ?? '') : `session-${++this.#sessionCount}`;
    this.sessions.set(key, user);
    this.#replace(key);
    connection.user = user;
    connection.session = key;
    this.#tell(connection, 0, {
      type: 'Welcome',
      body: {
        version: 1,
        session: `00000000-0000-4000-8000-${key.replace('session-', '').padStart(12, '0')}`,
        resume: new TextEncoder().encode(key),
        resumed,
        tenant: 'acme',
        user,
        name: user,
        role: this.role,
        node: 'node-a',
        epoch: this.epoch,
        peers: this.peers,
        serverTimeMs: this.time(),
        tokenExpiresMs: this.tokenExpiresMs,
        capabilities: this.capabilities,
        limits: this.limits,
      },
    });
  }

  /** A session that connects a second time replaces the first connection, which hears of it before the second one is welcomed. */
  #replace(session: string): void {
    for (const [link, connection] of [...this.#connections]) {
      if (connection.session !== session) continue;
      const body = { code: 3511, reason: 'replaced', retryAfterMs: 0, endpoint: undefined };
      this.#tell(connection, 0, { type: 'Closing', body });
      this.#connections.delete(link);
      this.ended(link);
    }
  }

  #open(connection: Connection, lane: number, { conversation, start }: CommandOf<'Open'>): void {
    const code = this.refuseOpen(conversation);
    if (code !== undefined) {
      const subject = { type: 'lane', value: undefined } as const;
      this.#tell(connection, lane, {
        type: 'Refused',
        body: { subject, code, message: '', retryAfterMs: 0 },
      });
      return;
    }
    const log = this.log(conversation);
    const position = start.type === 'after' ? start.value.seq : Math.max(0, log.length - start.value);
    const tooLong = start.type === 'after' && log.length - position > this.backlogMax;
    const complete = position <= log.length && !tooLong;
    const after = complete ? position : tooLong ? log.length - this.backlogMax : 0;
    const members = this.members.get(conversation) ?? [];
    connection.lanes.set(lane, conversation);
    this.#tell(connection, lane, {
      type: 'Opened',
      body: {
        conversation,
        kind: 'support',
        status: 'active',
        subject: undefined,
        assignee: undefined,
        head: { epoch: this.epoch, seq: log.length },
        firstSeq: 1,
        after,
        complete,
        members,
        memberCount: members.length,
      },
    });
    for (const event of log.slice(after)) this.#tell(connection, lane, { type: 'Event', body: event });
    this.#tell(connection, lane, { type: 'CaughtUp', body: { seq: log.length } });
  }

  #publish(connection: Connection, lane: number, publish: CommandOf<'Publish'>): void {
    const verdict = this.judge(publish);
    if (typeof verdict === 'object') {
      const subject = { type: 'message', value: publish.id } as const;
      this.#tell(connection, lane, { type: 'Refused', body: { subject, message: '', ...verdict } });
      return;
    }
    const conversation = connection.lanes.get(lane) ?? '';
    const before = this.#seen.get(publish.id);
    const { id, content, replyTo, durability } = publish;
    if (before === undefined && durability !== 'ephemeral') {
      const body = encode(EVENT_BODIES.Message[1], { id, content, replyTo });
      this.#seen.set(id, this.append(connection.user, 1, body, conversation).seq);
    }
    if (verdict === 'silence') return;
    const seq = this.#seen.get(id) ?? 0;
    const replicas = durability === 'mirrored' ? 2 : 1;
    const duplicate = before !== undefined;
    const published = { id, seq, atMs: this.time(), durability, replicas, duplicate };
    this.#tell(connection, lane, { type: 'Published', body: published });
  }

  /** Changes and notes become events like messages do. */
  #amend(connection: Connection, lane: number, command: Extract<Command, { type: 'Amend' | 'Note' }>): void {
    const { id, durability } = command.body;
    const verdict = this.judge({
      id,
      durability,
      content: { format: 0, body: new Uint8Array() },
      replyTo: undefined,
    });
    if (typeof verdict === 'object') {
      const subject = { type: 'message', value: id } as const;
      this.#tell(connection, lane, { type: 'Refused', body: { subject, message: '', ...verdict } });
      return;
    }
    const before = this.#seen.get(id);
    if (before === undefined) {
      const [kind, body] = command.type === 'Note' ? noteEvent(command.body) : changeEvent(command.body);
      const conversation = connection.lanes.get(lane) ?? '';
      this.#seen.set(id, this.append(connection.user, kind, body, conversation).seq);
    }
    if (verdict === 'silence') return;
    const seq = this.#seen.get(id) ?? 0;
    const rest = { durability, replicas: 1, duplicate: before !== undefined } as const;
    this.#tell(connection, lane, { type: 'Published', body: { id, seq, atMs: this.time(), ...rest } });
  }

  #history(connection: Connection, lane: number, ask: CommandOf<'HistoryRequest'>): void {
    const { request, conversation, page, limit } = ask;
    const log = this.log(conversation);
    const all = log.filter(({ seq }) => (page.type === 'before' ? seq < page.value : seq > page.value));
    const events = page.type === 'before' ? all.slice(-limit) : all.slice(0, limit);
    const more = all.length > events.length;
    this.#tell(connection, lane, { type: 'HistoryPage', body: { request, conversation, events, more } });
  }
}

function changeEvent({ id, change }: CommandOf<'Amend'>): [number, Uint8Array] {
  switch (change.type) {
    case 'edit':
      return [7, encode(EVENT_BODIES.Edited[1], { id, ...change.value })];
    case 'delete':
      return [8, encode(EVENT_BODIES.Deleted[1], { id, ...change.value })];
    case 'react':
      return [9, encode(EVENT_BODIES.Reacted[1], { id, ...change.value })];
  }
}

function noteEvent({ id, content, replyTo }: CommandOf<'Note'>): [number, Uint8Array] {
  const body = encode(EVENT_BODIES.Message[1], { id, content, replyTo });
  return [12, encode(EVENT_BODIES.Private[1], { kind: 1, body })];
}

/** A member who has received and read nothing yet. */
export function member(user: string): Member {
  const presence = {
    user,
    availability: 'online',
    connectivity: 'connected',
    lastSeenMs: 0,
    version: 1,
  } as const;
  return { user, name: user, role: 'visitor', received: 0, read: 0, presence };
}

/** A token for `user` that the client can look into. */
export function tokenFor(user: string): string {
  return `e30.${btoa(JSON.stringify({ sub: user }))}.x`;
}

function subject(token: string | undefined): string | undefined {
  if (token === undefined) return undefined;
  try {
    return (JSON.parse(atob(token.split('.')[1] ?? '')) as { sub: string }).sub;
  } catch {
    return undefined;
  }
}
