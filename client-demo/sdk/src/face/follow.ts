/** What a client follows besides conversations: its inbox, other users' presence, and its own availability. */
import type { AvailabilityControl, Inbox, PresenceWatch } from '../api';
import { DuetError } from '../errors';
import type { Driver } from '../host/driver';
import { WATCHED_MAX } from '../machine/watches';
import { Code } from '../protocol/reject';
import type { Availability, InboxEntry, Presence } from '../values';

/** The list of the user's conversations. */
export class InboxFace implements Inbox {
  readonly #driver: Driver;

  constructor(driver: Driver) {
    this.#driver = driver;
  }

  get watching(): boolean {
    return this.#driver.machine.inbox.wanted;
  }

  get list(): readonly InboxEntry[] {
    return this.#driver.machine.inbox.list;
  }

  get unread(): number {
    return this.list.reduce((sum, entry) => sum + entry.unread, 0);
  }

  watch(): Promise<void> {
    return this.#driver.call((machine, now, call) => {
      machine.watchInbox(now, true, call);
    });
  }

  unwatch(): void {
    this.#driver
      .call((machine, now, call) => {
        machine.watchInbox(now, false, call);
      })
      .catch(nobodyWaits);
  }
}

/** Presence of other users. */
export class PresenceFace implements PresenceWatch {
  readonly #driver: Driver;

  constructor(driver: Driver) {
    this.#driver = driver;
  }

  get(user: string): Presence | undefined {
    return this.#driver.machine.presences.get(user);
  }

  watch(users: readonly string[]): Promise<void> {
    const { wanted } = this.#driver.machine.presences;
    if (new Set([...wanted, ...users]).size > WATCHED_MAX) {
      return Promise.reject(
        new DuetError(Code.LIMIT_REACHED, `at most ${WATCHED_MAX} users can be followed`),
      );
    }
    for (const user of users) wanted.add(user);
    return this.#tell();
  }

  unwatch(users: readonly string[]): Promise<void> {
    for (const user of users) this.#driver.machine.presences.wanted.delete(user);
    return this.#tell();
  }

  #tell(): Promise<void> {
    return this.#driver.call((machine, now, call) => {
      machine.watchPresence(now, call);
    });
  }
}

/** What the user chose to be. */
export class AvailabilityFace implements AvailabilityControl {
  current: Availability | undefined;
  readonly #driver: Driver;

  constructor(driver: Driver) {
    this.#driver = driver;
  }

  async set(availability: Availability): Promise<void> {
    await this.#driver.call<unknown>((machine, now, call) => {
      machine.setAvailability(now, availability, call);
    });
    this.current = availability;
  }

  idle(idle: boolean): void {
    this.#driver.run((machine, now) => {
      machine.idle(now, idle);
    });
  }
}

function nobodyWaits(): void {
  // The list is gone here already; the server hears of it when there is a connection.
}
