/** What is on its way, as `send` and `edit` return it: the echo of a message, kept up to date, and a promise of acceptance. */
import type { Changing, ClientEvents, Sent } from '../api';
import type { Emitter } from '../emitter';
import { DuetError } from '../errors';
import type { Driver } from '../host/driver';
import { Code } from '../protocol/reject';
import type { Message, MessageStatus } from '../values';

/** Follows one message. */
export class SentMessage implements Sent {
  readonly id: string;
  #message: Message;
  #accepted: Promise<Message> | undefined;
  #settle: ((message: Message) => void) | undefined;

  constructor(driver: Driver, message: Message) {
    this.id = message.id;
    this.#message = message;
    driver.follow(this.id, event => {
      this.#message = event.message;
      if (event.status === 'read') driver.follow(this.id, undefined);
      if (event.status !== 'queued') this.#settle?.(event.message);
    });
  }

  get message(): Message {
    return this.#message;
  }

  get status(): MessageStatus {
    return this.#message.status;
  }

  accepted(): Promise<Message> {
    this.#accepted ??= new Promise((resolve, reject) => {
      this.#settle = message => {
        if (message.status === 'failed') reject(message.error ?? new DuetError(Code.BAD_REQUEST));
        else resolve(message);
      };
      if (this.#message.status !== 'queued') this.#settle(this.#message);
    });
    return this.#accepted;
  }
}

/** Follows one change of a message. */
export class SentChange implements Changing {
  readonly id: string;
  #outcome: ClientEvents['change.status'] | undefined;
  #settle: ((outcome: ClientEvents['change.status']) => void) | undefined;

  constructor(emitter: Emitter<ClientEvents>, id: string) {
    this.id = id;
    const stop = emitter.on('change.status', event => {
      if (event.id !== id || event.status === 'queued') return;
      stop();
      this.#outcome = event;
      this.#settle?.(event);
    });
  }

  accepted(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#settle = ({ error }) => {
        if (error === undefined) resolve();
        else reject(error);
      };
      if (this.#outcome !== undefined) this.#settle(this.#outcome);
    });
  }
}
