/**
 * What a client follows besides conversations: the inbox and the presence of users. Each is a wish that is told to the server
 * again on every connection, and a picture of what it last said.
 */
import type * as wire from '../protocol/delivery';
import type { InboxEntry, Presence } from '../values';
import { inboxEntry, presence } from './convert';
import type { Out } from './effect';

/** Most users whose presence can be followed, by the protocol. */
export const WATCHED_MAX = 200;
/** Most users whose presence is remembered; the one that changed longest ago goes first. */
const KNOWN_MAX = 5_000;

/** The list of the user's conversations. */
export class InboxList {
  wanted = false;
  readonly #out: Out;
  readonly #entries = new Map<string, InboxEntry>();
  /** Entries that were told since the list was last asked for; `undefined` when the list is complete. */
  #told: Set<string> | undefined;
  #view: readonly InboxEntry[] | undefined;

  constructor(out: Out) {
    this.#out = out;
  }

  /** Latest activity first. */
  get list(): readonly InboxEntry[] {
    this.#view ??= [...this.#entries.values()].sort((a, b) => b.activeAt - a.activeAt);
    return this.#view;
  }

  find(conversation: string): InboxEntry | undefined {
    return this.#entries.get(conversation);
  }

  /** The list was asked for: what is not told again before {@link complete} is gone. */
  asked(): void {
    this.#told = new Set();
  }

  told(value: wire.InboxEntry): void {
    const { conversation } = value;
    this.#told?.add(conversation);
    const old = this.#entries.get(conversation);
    if (value.gone) {
      this.#remove(conversation);
      return;
    }
    // Of two entries of one conversation the older one can only be late: ordered by head, then by read.
    const late = old && (value.head < old.head || (value.head === old.head && value.read < old.read));
    if (late === true) return;
    const entry = inboxEntry(value);
    this.#entries.set(conversation, entry);
    this.#view = undefined;
    this.#out.emit('inbox.updated', { conversation, entry });
  }

  /** The whole list was told. */
  complete(): void {
    const told = this.#told;
    this.#told = undefined;
    if (told === undefined) return;
    for (const conversation of [...this.#entries.keys()]) {
      if (!told.has(conversation)) this.#remove(conversation);
    }
  }

  clear(): void {
    for (const conversation of [...this.#entries.keys()]) this.#remove(conversation);
  }

  #remove(conversation: string): void {
    if (!this.#entries.delete(conversation)) return;
    this.#view = undefined;
    this.#out.emit('inbox.updated', { conversation, entry: undefined });
  }
}

/** Presence of other users. */
export class Presences {
  /** The users that the application follows. */
  readonly wanted = new Set<string>();
  readonly #out: Out;
  readonly #known = new Map<
    string,
    { readonly epoch: number; readonly version: number; readonly value: Presence }
  >();

  constructor(out: Out) {
    this.#out = out;
  }

  get(user: string): Presence | undefined {
    return this.#known.get(user)?.value;
  }

  /** Takes what the server said under the reign `epoch`; returns it unless it is stale. */
  told(epoch: number, value: wire.Presence): Presence | undefined {
    const old = this.#known.get(value.user);
    const stale = old && (epoch < old.epoch || (epoch === old.epoch && value.version < old.version));
    if (stale === true) return undefined;
    const next = presence(value);
    const same = old?.epoch === epoch && old.version === value.version;
    this.#known.delete(value.user);
    for (const user of this.#known.keys()) {
      if (this.#known.size < KNOWN_MAX) break;
      this.#known.delete(user);
    }
    this.#known.set(value.user, { epoch, version: value.version, value: next });
    if (!same) this.#out.emit('presence.updated', next);
    return next;
  }

  clear(): void {
    this.#known.clear();
    this.wanted.clear();
  }
}
