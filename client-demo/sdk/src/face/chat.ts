/**
 * A visitor's one conversation with the tenant's staff. Its id is kept on the device, per user, before the server is asked for
 * it: however often `start` is called, in whichever tab, before or after a reload, there is one conversation.
 */
import type { Chat, Conversation } from '../api';
import { DuetError } from '../errors';
import type { Driver } from '../host/driver';
import { isUuid } from '../protocol/ids';
import { Code } from '../protocol/reject';

/** What a chat needs of its client. */
export interface ChatContext {
  ready(): Promise<void>;
  conversation(id: string): Conversation;
  create(id: string, subject: string | undefined): Promise<Conversation>;
}

/** Starts, continues and ends the chat. */
export class ChatFace implements Chat {
  readonly #driver: Driver;
  readonly #context: ChatContext;
  #starting: Promise<Conversation> | undefined;

  constructor(driver: Driver, context: ChatContext) {
    this.#driver = driver;
    this.#context = context;
  }

  get conversation(): Conversation | undefined {
    const id = this.#stored;
    return id === undefined ? undefined : this.#context.conversation(id);
  }

  start(options: { readonly subject?: string } = {}): Promise<Conversation> {
    this.#starting ??= this.#start(options.subject).finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  async end(): Promise<void> {
    const { conversation } = this;
    if (conversation === undefined) return;
    try {
      await conversation.resolve();
    } catch (error) {
      // Over already, or gone: that is what was wanted.
      const over: readonly number[] = [Code.CONFLICT, Code.NOT_FOUND, Code.CONVERSATION_CLOSED];
      if (!(error instanceof DuetError) || !over.includes(error.code)) throw error;
    }
    this.#store(undefined);
  }

  async #start(subject: string | undefined): Promise<Conversation> {
    await this.#context.ready();
    const known = this.#stored;
    const conversation = await this.#begin(known ?? this.#fresh(), subject);
    if (conversation.status !== 'closed') return conversation;
    conversation.unsubscribe();
    return this.#begin(this.#fresh(), subject);
  }

  async #begin(id: string, subject: string | undefined): Promise<Conversation> {
    const conversation = await this.#context.create(id, subject);
    await conversation.subscribe();
    return conversation;
  }

  #fresh(): string {
    const id = this.#driver.randomId();
    this.#store(id);
    return id;
  }

  get #stored(): string | undefined {
    const id = this.#driver.deviceArea.get(this.#key);
    return id !== undefined && isUuid(id) ? id : undefined;
  }

  #store(id: string | undefined): void {
    this.#driver.deviceArea.set(this.#key, id);
  }

  get #key(): string {
    return `chat:${this.#driver.machine.owner}`;
  }
}
