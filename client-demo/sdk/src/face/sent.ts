/** A message on its way, as `send` returns it: the echo, kept up to date, and a promise of its acceptance. */
import type { Sent } from '../api';
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
