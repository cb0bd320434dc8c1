/**
 * The client as a machine without sockets: what the application wants and what the network says go in, effects come out.
 * Time is an argument, randomness is given, the same inputs give the same effects.
 *
 * It only introduces its parts to each other: `Connection` keeps a link, `Conversations` the lanes and the outbox, `Requests`
 * what awaits an answer, `InboxList`, `Presences` and `Typing` what their names say. Call {@link poll} until it is empty after
 * every call, and {@link tick} at {@link deadline}.
 */
import type { SubscribeOptions } from '../api';
import { DuetError } from '../errors';
import type { Command, Durability } from '../protocol/command';
import { decodeDelivery, type Delivery, type HistoryPage as WirePage } from '../protocol/delivery';
import type { Frame } from '../protocol/frame';
import { capability, type Welcome } from '../protocol/hello';
import { Code } from '../protocol/reject';
import type { Availability, HistoryPage, Me } from '../values';
import { proofOf } from './backoff';
import { Calls } from './calls';
import { Connection, TOKEN_REQUEST } from './connection';
import { Conversations } from './conversations';
import { presence } from './convert';
import { earlier, type Effect, type Entropy, Out, type SavedPosition, type SavedSession } from './effect';
import type { Endpoints } from './endpoints';
import { type Outcome, Requests } from './requests';
import { Typing } from './typing';
import { InboxList, Presences } from './watches';

/** What a machine is made with. */
export interface Setup {
  readonly endpoints: Endpoints;
  /** Names this installation. */
  readonly device: string;
  readonly sdk: string;
  readonly backlog: number;
  readonly outboxMessagesMax: number;
  readonly outboxBytesMax: number;
  /** What a message asks for unless it says otherwise. */
  readonly durability: Durability;
  /** The session of the page before the reload, if this tab may go on with it. */
  readonly session: SavedSession | undefined;
  readonly positions: readonly SavedPosition[];
  /** Milliseconds to add to `now` to get the server's time, as well as it is known before the first connection. */
  readonly clockOffset: number;
}

/** How a request behaves. */
export interface RequestOptions {
  /** Leaves on the bulk lane. */
  readonly bulk?: boolean;
  /** May be sent again on the next connection; default `true`. */
  readonly repeatable?: boolean;
  /** How long it may take, waiting for a connection included, milliseconds. */
  readonly withinMs?: number;
  /** Makes the call's value of the answer. */
  readonly done?: (answer: unknown) => unknown;
}

/** Longest content before the server has told its own limit. */
const MESSAGE_BYTES_DEFAULT = 16_384;

/** The whole client, without I/O. */
export class Machine {
  readonly connection: Connection;
  readonly conversations: Conversations;
  readonly inbox: InboxList;
  readonly presences: Presences;
  readonly typing: Typing;
  readonly calls: Calls;
  me: Me | undefined;
  /** What both sides of the last connection could. */
  capabilities = 0n;
  readonly #out = new Out();
  readonly #requests: Requests;
  #bulkLane: number | undefined;
  #idle = false;
  /** Whose data is loaded. */
  #servedOwner: string;

  constructor(setup: Setup, entropy: Entropy) {
    const out = this.#out;
    this.connection = new Connection(out, entropy, this, { ...setup, saved: setup.session });
    this.conversations = new Conversations({
      ...setup,
      out,
      entropy,
      me: () => this.me?.user ?? this.connection.saved?.user,
      owner: () => this.owner,
      expect: now => {
        this.connection.expect(now);
      },
      partly: missing => {
        this.connection.partly(missing);
      },
      epoch: () => this.connection.live?.welcome.epoch ?? 0,
      serverTime: now => this.connection.clock.server(now),
      amends: () => {
        return this.me === undefined ? undefined : (this.capabilities & capability.AMENDMENTS) !== 0n;
      },
      messageBytesMax: () => this.connection.live?.welcome.limits.messageBytesMax ?? MESSAGE_BYTES_DEFAULT,
    });
    this.#servedOwner = this.owner;
    this.#requests = new Requests(out);
    this.inbox = new InboxList(out);
    this.presences = new Presences(out);
    this.typing = new Typing(out);
    this.calls = new Calls(
      out,
      (now, build, call, options) => {
        this.request(now, build, call, options);
      },
      () => this.me === undefined || (this.capabilities & capability.CALLS) !== 0n,
    );
  }

  /** Whose messages these are: `tenant/user`; empty until that is known. */
  get owner(): string {
    const known = this.me ?? this.connection.saved;
    return known === undefined ? '' : `${known.tenant}/${known.user}`;
  }

  poll(): Effect | undefined {
    return this.#out.poll();
  }

  keystroke(now: number, conversation: string): void {
    // Only members type; staff who look in do not.
    if (!this.conversations.feed(conversation).standing.roster.mayHold(this.me?.user ?? '')) return;
    this.typing.keystroke(now, this.connection.clock.server(now), conversation);
  }

  stopTyping(now: number, conversation: string): void {
    this.typing.stop(this.connection.clock.server(now), conversation);
  }

  /** The user left keyboard and screen alone, or is back. Said again on every connection. */
  idle(now: number, idle: boolean): void {
    this.#idle = idle;
    this.connection.clock.attend(now, !idle);
    const version = this.typing.version(this.connection.clock.server(now));
    this.#out.signal({ type: 'Idle', body: { version, idle } });
  }

  subscribe(now: number, conversation: string, options: SubscribeOptions, call: number): void {
    const { state } = this.connection;
    if (state === 'closed' || state === 'failed') {
      this.#out.refuse([call], new DuetError(Code.CLOSED_BY_USER, `the client is ${state}`));
    } else this.conversations.feed(conversation).subscribe(now, options, call);
  }

  /** Makes a request; `call` is settled with what `done` makes of the answer. */
  request(
    now: number,
    build: (request: number) => Command,
    call: number,
    options: RequestOptions = {},
  ): void {
    const outcome: Outcome = {
      done: answer => {
        this.#out.settle([call], options.done === undefined ? answer : options.done(answer));
      },
      refused: error => {
        this.#out.refuse([call], error);
      },
    };
    const { state } = this.connection;
    if (state === 'closed' || state === 'failed') {
      outcome.refused(new DuetError(Code.CLOSED_BY_USER, `the client is ${state}`));
      return;
    }
    this.#requests.ask(now, build, outcome, options);
    this.#flush();
  }

  /** A page of the past; `call` is settled with a `HistoryPage`. */
  history(
    now: number,
    conversation: string,
    page: { readonly type: 'before' | 'after'; readonly value: number },
    limit: number,
    call: number,
  ): void {
    const build = (request: number): Command => {
      return { type: 'HistoryRequest', body: { request, conversation, page, limit } };
    };
    const done = (answer: unknown): HistoryPage => {
      const { events, more } = answer as WirePage;
      return { entries: this.conversations.feed(conversation).page(events), more };
    };
    this.request(now, build, call, { bulk: true, done });
  }

  watchInbox(now: number, on: boolean, call: number): void {
    this.inbox.wanted = on;
    if (!on) this.inbox.clear();
    const build = (request: number): Command => {
      if (on) this.inbox.asked();
      return { type: 'WatchInbox', body: { request, on } };
    };
    const done = (): void => {
      this.inbox.complete();
    };
    this.request(now, build, call, { done });
  }

  watchPresence(now: number, call: number): void {
    const build = (request: number): Command => {
      return { type: 'WatchPresence', body: { request, users: [...this.presences.wanted] } };
    };
    this.request(now, build, call);
  }

  setAvailability(now: number, availability: Availability, call: number): void {
    const build = (request: number): Command => {
      return { type: 'SetAvailability', body: { request, availability } };
    };
    this.request(now, build, call);
  }

  close(): void {
    this.conversations.close();
    this.connection.close();
    this.inbox.wanted = false;
    this.presences.clear();
  }

  /** A frame arrived. Throws `CodecError` when it breaks the protocol; the host then hangs up. */
  frame(now: number, link: number, lane: number, frame: Frame): void {
    if (!this.connection.knows(link)) return;
    if (link === this.connection.live?.link) this.connection.heard(now);
    const delivery = decodeDelivery(frame);
    if (delivery === undefined) return;
    if (delivery.type === 'Welcome') this.connection.welcome(now, link, delivery.body);
    else if (delivery.type === 'Closing') this.connection.closing(now, link, delivery.body);
    else if (link === this.connection.live?.link) {
      this.#delivery(now, lane, delivery);
      // After it was taken in: it may have been what the last waiting message waited for.
      const proof = proofOf(delivery);
      if (proof === 'acknowledged' || (proof === 'answered' && !this.conversations.waits))
        this.connection.served();
    }
  }

  /** The carrier of one lane ended. */
  laneDown(now: number, link: number, lane: number): void {
    if (link !== this.connection.live?.link) return;
    if (lane !== this.#bulkLane) {
      this.conversations.laneDown(now, lane);
      return;
    }
    this.#bulkLane = undefined;
    this.#requests.lost(true);
    this.#flush();
  }

  tick(now: number): void {
    this.connection.tick(now);
    this.#requests.tick(now);
    this.typing.tick(now, this.connection.clock.server(now));
    this.conversations.tick(now);
  }

  deadline(now: number): number | undefined {
    const next = earlier(this.connection.deadline(now), this.#requests.deadline());
    return earlier(next, earlier(this.typing.deadline(), this.conversations.deadline()));
  }

  /** The session stands: everything that is wanted is told to the server (again). */
  welcomed(now: number, welcome: Welcome): void {
    const { tenant, user, name, role } = welcome;
    this.me = { tenant, user, name, role };
    this.capabilities = welcome.capabilities;
    if (this.#servedOwner !== '' && this.#servedOwner !== this.owner) this.#changeUser();
    this.#servedOwner = this.owner;
    this.typing.ttlMs = welcome.limits.typingTtlMs;
    this.#out.streamsMax = welcome.limits.streamsMax;
    this.#out.datagrams = (welcome.capabilities & capability.DATAGRAMS) !== 0n;
    this.#unlink();
    if (this.inbox.wanted) this.watchInbox(now, true, NOBODY);
    if (this.presences.wanted.size > 0) this.watchPresence(now, NOBODY);
    if (this.#idle) this.idle(now, true);
    this.calls.welcomed(now, NOBODY);
    this.conversations.welcomed(now);
    this.#flush();
  }

  lost(): void {
    this.#unlink();
    this.typing.lost();
  }

  ended(error: DuetError): void {
    this.#requests.abort(error);
    this.conversations.refuse(error);
  }

  #unlink(): void {
    this.#bulkLane = undefined;
    this.#requests.lost();
    this.conversations.unlink();
  }

  #changeUser(): void {
    this.conversations.reset();
    this.inbox.clear();
    const reason = 'another user has signed in';
    this.#out.emit('discontinuity', { conversation: undefined, reason });
  }

  #flush(): void {
    this.#requests.flush(() => {
      if (this.#bulkLane === undefined) {
        this.#bulkLane = this.conversations.nextLane();
        this.#out.openLane(this.#bulkLane, true);
      }
      return this.#bulkLane;
    });
  }

  #delivery(now: number, lane: number, delivery: Delivery): void {
    switch (delivery.type) {
      case 'Pong':
        this.connection.clock.pong(now, delivery.body.nonce, delivery.body.serverTimeMs);
        break;
      case 'Done':
        this.#requests.done(delivery.body.request);
        break;
      case 'Created':
        this.#requests.done(delivery.body.request, delivery.body.conversation);
        break;
      case 'HistoryPage':
        this.#requests.done(delivery.body.request, delivery.body);
        this.#flush();
        break;
      case 'Refused':
        this.#refused(now, lane, delivery);
        break;
      case 'Answered':
        this.#requests.done(delivery.body.request, delivery.body.outcome);
        break;
      case 'CallAsked':
      case 'CallEnded':
        this.calls.heard(delivery);
        break;
      case 'Draining':
        this.connection.draining(now, delivery.body);
        break;
      case 'Authenticated':
        this.connection.authenticated(now, delivery.body.expiresMs);
        this.#flush();
        break;
      case 'InboxEntry':
        this.inbox.told(delivery.body);
        break;
      case 'Presence':
        this.#presence(delivery);
        break;
      case 'Typing':
        if (delivery.body.user !== this.me?.user) this.typing.heard(now, delivery.body);
        break;
      default:
        if (delivery.type === 'Event') this.#typed(delivery.body.author, lane);
        this.conversations.frame(now, lane, delivery);
    }
  }

  #refused(now: number, lane: number, delivery: Extract<Delivery, { type: 'Refused' }>): void {
    const { subject, code, message, retryAfterMs } = delivery.body;
    const error = new DuetError(code, message, retryAfterMs);
    if (code === Code.TOKEN_EXPIRED) this.connection.tokens.ended(now);
    if (subject.type !== 'request') {
      if (lane === 0) this.#out.emit('error', error);
      else this.conversations.frame(now, lane, delivery);
    } else if (subject.value === TOKEN_REQUEST) {
      this.connection.notAuthenticated(now, error);
    } else if (code !== Code.TOKEN_EXPIRED || !this.#requests.postpone(subject.value)) {
      this.#requests.refused(subject.value, error);
      this.#flush();
    }
  }

  #presence(delivery: Extract<Delivery, { type: 'Presence' }>): void {
    const epoch = this.connection.live?.welcome.epoch ?? 0;
    if (this.presences.told(epoch, delivery.body) === undefined) return;
    const value = presence(delivery.body);
    this.conversations.seen(value);
  }

  /** A message of theirs arrived: they have finished typing it. */
  #typed(author: string | undefined, lane: number): void {
    const conversation = this.conversations.laneOf(lane);
    if (author !== undefined && conversation !== undefined) this.typing.finished(conversation, author);
  }
}

/** The call of a request that nobody waits for. */
const NOBODY = 0;
