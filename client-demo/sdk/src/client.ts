/** The client: what the application makes, and from which it gets everything else. */
import type {
  AvailabilityControl,
  Chat,
  ClientEvents,
  ClientOptions,
  ClientState,
  ConnectionInfo,
  Conversation,
  DuetClient,
  Endpoint,
  Inbox,
  NewConversation,
  PresenceWatch,
} from './api';
import type { CallAnswer, CallOptions, ServedMethods } from './api-calls';
import { Emitter } from './emitter';
import { CallsFace } from './face/calls';
import { ChatFace } from './face/chat';
import { ConversationFace } from './face/conversation';
import { AvailabilityFace, InboxFace, PresenceFace } from './face/follow';
import { browserDial } from './host/dial';
import { Driver } from './host/driver';
import { hooks } from './host/hooks';
import { browserParts, type Parts } from './host/parts';
import { capability } from './protocol/hello';
import { canonicalUuid } from './protocol/ids';
import type { Me } from './values';

/** A client of one user: `new Client('https://chat.example:4433', { getToken })`, then `connect()`. */
export class Client implements DuetClient {
  readonly conversations: Inbox;
  readonly chat: Chat;
  readonly presence: PresenceWatch;
  readonly availability: AvailabilityControl;
  readonly #driver: Driver;
  readonly #calls: CallsFace;
  readonly #emitter = new Emitter<ClientEvents>();
  readonly #known = new Map<string, Conversation>();

  /** `parts` replaces what a client touches of the browser; for tests. */
  constructor(endpoints: Endpoint | readonly Endpoint[], options: ClientOptions, parts?: Parts) {
    const namespace = options.namespace ?? 'default';
    const persist = options.persist ?? true;
    const list = isList(endpoints) ? endpoints : [endpoints];
    const touched = parts ?? browserParts(namespace, persist, browserDial(options, namespace, this));
    this.#driver = new Driver(list, options, this.#emitter, touched);
    this.#calls = new CallsFace(this.#driver);
    hooks.made?.(this, this.#driver);
    this.conversations = new InboxFace(this.#driver);
    this.presence = new PresenceFace(this.#driver);
    this.availability = new AvailabilityFace(this.#driver);
    this.chat = new ChatFace(this.#driver, {
      ready: () => this.ready(),
      conversation: id => this.conversation(id),
      create: (id, subject) => {
        return this.createConversation({
          kind: 'support',
          id,
          ...(subject === undefined ? {} : { subject }),
        });
      },
    });
  }

  get state(): ClientState {
    return this.#driver.machine.connection.state;
  }

  get me(): Me | undefined {
    return this.#driver.machine.me;
  }

  get info(): ConnectionInfo {
    const { live, clock, saved } = this.#driver.machine.connection;
    return {
      transport: live?.transport,
      rtt: clock.rtt,
      epoch: live?.welcome.epoch ?? saved?.epoch ?? 0,
      replicas: this.#driver.machine.conversations.replicas,
      node: live?.welcome.node,
      session: live?.welcome.session ?? saved?.session,
      endpoint: live?.address.url,
      clockOffset: clock.offset,
      amendments: (this.#driver.machine.capabilities & capability.AMENDMENTS) !== 0n,
    };
  }

  connect(): void {
    // Whoever wants to know how it went listens to `state` or awaits `ready`.
    this.#driver.connect().catch(() => undefined);
  }

  ready(): Promise<void> {
    return this.#driver.connect();
  }

  close(): Promise<void> {
    return this.#driver.close();
  }

  conversation(id: string): Conversation {
    const name = canonicalUuid(id);
    const conversation = this.#known.get(name) ?? new ConversationFace(name, this.#driver, this.#emitter);
    this.#known.set(name, conversation);
    return conversation;
  }

  async createConversation(options: NewConversation): Promise<Conversation> {
    const { kind, subject, members = [], id = this.#driver.randomId() } = options;
    const conversation = canonicalUuid(id);
    const created = await this.#driver.call<string>((machine, now, call) => {
      machine.request(
        now,
        request => ({ type: 'CreateConversation', body: { request, conversation, kind, subject, members } }),
        call,
      );
    });
    return this.conversation(created);
  }

  call(method: string, question: unknown, options?: CallOptions): Promise<CallAnswer> {
    return this.#calls.call(method, question, options);
  }

  serve(methods: ServedMethods): Promise<void> {
    return this.#calls.serve(methods);
  }

  on<K extends keyof ClientEvents>(event: K, listener: (data: ClientEvents[K]) => void): () => void {
    return this.#emitter.on(event, listener);
  }

  once<K extends keyof ClientEvents>(event: K, listener: (data: ClientEvents[K]) => void): () => void {
    return this.#emitter.once(event, listener);
  }

  off<K extends keyof ClientEvents>(event: K, listener: (data: ClientEvents[K]) => void): void {
    this.#emitter.off(event, listener);
  }
}

function isList(endpoints: Endpoint | readonly Endpoint[]): endpoints is readonly Endpoint[] {
  return Array.isArray(endpoints);
}
