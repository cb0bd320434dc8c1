/**
 * Typing, both ways. One's own: a signal when it begins, repeated before it would lapse, and one when it ends. That of
 * others: believed until its time is over, stale versions dropped.
 */
import type { ClientEvents } from '../api';
import type { TypingState } from '../protocol/signal';
import { earlier, type Out } from './effect';

/** How long after the last keystroke one counts as typing, milliseconds, at most the server's own limit. */
const PAUSE_MS = 5_000;
/** Most typists that are remembered, the oldest forgotten first: one who types says so again soon. */
const TYPISTS_MAX = 1_000;

interface Own {
  sentAt: number;
  lastKey: number;
}

interface Other {
  readonly conversation: string;
  readonly user: string;
  version: number;
  /** `undefined`: has stopped; kept for its version. */
  until: number | undefined;
}

/** Who types where. */
export class Typing {
  /** The server's limit on how long a signal holds. */
  ttlMs = 6_000;
  readonly #out: Out;
  readonly #own = new Map<string, Own>();
  readonly #others = new Map<string, Other>();
  #version = 0;

  constructor(out: Out) {
    this.#out = out;
  }

  /** A number that grows, also over a reload: signals carry the server's time where that is ahead. */
  version(serverNow: number): number {
    this.#version = Math.max(this.#version + 1, serverNow);
    return this.#version;
  }

  keystroke(now: number, serverNow: number, conversation: string): void {
    const own = this.#own.get(conversation);
    if (own !== undefined && now - own.sentAt < this.ttlMs / 3) {
      own.lastKey = now;
      return;
    }
    this.#own.set(conversation, { sentAt: now, lastKey: now });
    this.#signal(serverNow, conversation, true);
  }

  stop(serverNow: number, conversation: string): void {
    if (this.#own.delete(conversation)) this.#signal(serverNow, conversation, false);
  }

  /** Somebody else's state, from the server. */
  heard(now: number, state: TypingState): void {
    const key = `${state.conversation}/${state.user}`;
    const known = this.#others.get(key);
    if (known !== undefined && state.version <= known.version) return;
    if (known === undefined && this.#others.size >= TYPISTS_MAX) this.#forgetOldest();
    const typed = known?.until !== undefined;
    const types = state.ttlMs > 0;
    const { conversation, user, version } = state;
    if (!typed) this.#others.delete(key);
    this.#others.set(key, { conversation, user, version, until: types ? now + state.ttlMs : undefined });
    if (types !== typed) this.#tell(types ? 'typing.started' : 'typing.stopped', { conversation, user });
  }

  /** A message of theirs arrived: they have finished typing it. */
  finished(conversation: string, user: string): void {
    const other = this.#others.get(`${conversation}/${user}`);
    if (other?.until === undefined) return;
    other.until = undefined;
    this.#tell('typing.stopped', { conversation, user });
  }

  typists(conversation: string): string[] {
    return [...this.#others.values()]
      .filter(other => other.conversation === conversation && other.until !== undefined)
      .map(other => other.user);
  }

  /** The connection is gone: versions begin anew. Who types is believed for as long as they said, so that a short break does not flicker. */
  lost(): void {
    for (const [key, other] of this.#others) {
      if (other.until === undefined) this.#others.delete(key);
      else other.version = 0;
    }
    this.#own.clear();
  }

  tick(now: number, serverNow: number): void {
    for (const [conversation, own] of this.#own) {
      if (now - own.lastKey >= this.#pause()) this.stop(serverNow, conversation);
    }
    for (const other of this.#others.values()) {
      if (other.until !== undefined && other.until <= now) this.finished(other.conversation, other.user);
    }
  }

  deadline(): number | undefined {
    let next: number | undefined;
    for (const own of this.#own.values()) next = earlier(next, own.lastKey + this.#pause());
    for (const other of this.#others.values()) next = earlier(next, other.until);
    return next;
  }

  #forgetOldest(): void {
    for (const [key, other] of this.#others) {
      this.finished(other.conversation, other.user);
      this.#others.delete(key);
      return;
    }
  }

  #pause(): number {
    return Math.min(PAUSE_MS, this.ttlMs);
  }

  #signal(serverNow: number, conversation: string, active: boolean): void {
    const body = { conversation, version: this.version(serverNow), active };
    this.#out.signal({ type: 'Typing', body });
  }

  #tell(name: 'typing.started' | 'typing.stopped', data: ClientEvents['typing.started']): void {
    this.#out.emit(name, data);
  }
}
