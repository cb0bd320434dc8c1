/**
 * What was changed about messages: edits, deletions, reactions, folded as docs/protocol.md says ("What an event changes"), in whatever
 * order they come; and on top of that, at once, what the user of this client has changed and nobody has accepted yet.
 *
 * ```text
 *  deleted? ──yes──► no content, no reactions, for good
 *     │ no
 *  content: the edit with the highest seq, else the message's own
 *  reactions: per author and emoji the change with the highest seq; in the order in which each emoji appeared first
 *  then one's own changes that wait, in the order in which they were made
 * ```
 */
import type { Content, Message, PendingChange, Reaction } from '../values';

/** Most messages whose changes are remembered; the one that changed longest ago goes first. */
const TARGETS_MAX = 4_000;
const EMPTY: Content = { format: 'text', text: '' };

/** A change of a message, as the log tells it. */
export type Change = { readonly kind: 'change'; readonly id: string; readonly target: number } & Told &
  (
    | { readonly type: 'edited'; readonly content: Content }
    | { readonly type: 'deleted' }
    | { readonly type: 'reacted'; readonly emoji: string; readonly on: boolean }
  );

/** One's own change, before the log tells it. */
export type OwnChange =
  | { readonly type: 'edit'; readonly content: Content }
  | { readonly type: 'delete' }
  | { readonly type: 'react'; readonly emoji: string; readonly on: boolean };

interface Told {
  readonly seq: number;
  readonly at: number;
  readonly author: string | undefined;
}

interface Reacted {
  readonly emoji: string;
  readonly author: string;
  readonly first: number;
  readonly seq: number;
  readonly on: boolean;
}

interface State {
  edit: (Told & { readonly content: Content }) | undefined;
  deletion: Told | undefined;
  readonly reactions: Map<string, Reacted>;
  readonly own: Map<string, { readonly change: OwnChange; readonly pending: PendingChange }>;
}

/** The changes of one conversation. */
export class Changes {
  readonly #states = new Map<number, State>();

  /** Takes a change in. `false` when it is no news. */
  told(change: Change): boolean {
    const { seq, at, author, target } = change;
    if (target >= seq) return false;
    const state = this.#state(target);
    const wasOwn = state.own.delete(change.id);
    switch (change.type) {
      case 'edited':
        if (state.edit !== undefined && state.edit.seq >= seq) return wasOwn;
        state.edit = { seq, at, author, content: change.content };
        return true;
      case 'deleted':
        if (state.deletion !== undefined) return wasOwn;
        state.deletion = { seq, at, author };
        return true;
      case 'reacted':
        return react(state, change) || wasOwn;
    }
  }

  /** One's own change is shown at once; with `pending.error` it has failed, and is only told. */
  own(target: number, change: OwnChange, pending: PendingChange): void {
    const { own } = this.#state(target);
    own.delete(pending.id);
    own.set(pending.id, { change, pending });
  }

  /** One's own change is given up. */
  drop(target: number, id: string): void {
    this.#states.get(target)?.own.delete(id);
  }

  /** What a message of the log, as the log has it, is now; `me` is whose changes wait. */
  fold(message: Message, me: string | undefined): Message {
    const state = message.seq === undefined ? undefined : this.#states.get(message.seq);
    if (state === undefined || message.deleted !== undefined) return message;
    const { deletion } = state;
    if (deletion !== undefined) {
      const deleted = { at: deletion.at, by: deletion.author };
      const gone = { content: EMPTY, text: '', reactions: [], edited: undefined, pending: undefined };
      return { ...message, ...gone, deleted };
    }
    return withOwn(withTold(message, state, me), state, me);
  }

  /** The log is another one: only one's own changes are left, until they are answered. */
  clear(): void {
    for (const [target, state] of [...this.#states]) {
      this.#states.delete(target);
      for (const { change, pending } of state.own.values()) this.own(target, change, pending);
    }
  }

  /** Nothing here is the user's. */
  reset(): void {
    this.#states.clear();
  }

  has(target: number): boolean {
    return this.#states.has(target);
  }

  #state(target: number): State {
    let state = this.#states.get(target);
    this.#states.delete(target);
    state ??= {
      edit: undefined,
      deletion: undefined,
      reactions: new Map(),
      own: new Map(),
    };
    this.#states.set(target, state);
    for (const oldest of this.#states.keys()) {
      if (this.#states.size <= TARGETS_MAX) break;
      this.#states.delete(oldest);
    }
    return state;
  }
}

/** The words of a content: its text, or what a card says to those who do not know cards. */
export function textOf(content: Content): string {
  if (content.format === 'text') return content.text;
  return content.format === 'card' ? content.card.fallback : '';
}

function react(state: State, change: Extract<Change, { type: 'reacted' }>): boolean {
  const { seq, author, emoji, on } = change;
  if (author === undefined) return false;
  const key = `${author}\n${emoji}`;
  const old = state.reactions.get(key);
  const first = Math.min(old?.first ?? seq, seq);
  const next = old !== undefined && old.seq >= seq ? { ...old, first } : { emoji, author, first, seq, on };
  state.reactions.set(key, next);
  return next.on !== old?.on;
}

function withTold(message: Message, state: State, me: string | undefined): Message {
  const content = state.edit?.content ?? message.content;
  const edited = state.edit && { at: state.edit.at };
  const told = [...state.reactions.values()];
  const emojis = [...new Set(told.toSorted((a, b) => a.first - b.first).map(({ emoji }) => emoji))];
  const reactions = emojis.flatMap((emoji): Reaction[] => {
    const users = told.filter(one => one.emoji === emoji && one.on).map(({ author }) => author);
    return users.length === 0 ? [] : [{ emoji, users, own: me !== undefined && users.includes(me) }];
  });
  return { ...message, content, text: textOf(content), edited, reactions, pending: undefined };
}

function withOwn(message: Message, { own }: State, me: string | undefined): Message {
  let shown = message;
  for (const { change, pending } of own.values()) {
    shown = { ...shown, pending };
    if (pending.error !== undefined) continue;
    if (change.type === 'edit') {
      shown = { ...shown, content: change.content, text: textOf(change.content), edited: { at: pending.at } };
    } else if (change.type === 'delete') {
      shown = { ...shown, content: EMPTY, text: '', reactions: [], deleted: { at: pending.at, by: me } };
    } else {
      shown = { ...shown, reactions: toggled(shown.reactions, change, me ?? '') };
    }
  }
  return shown;
}

function toggled(
  reactions: readonly Reaction[],
  { emoji, on }: { readonly emoji: string; readonly on: boolean },
  me: string,
): readonly Reaction[] {
  const known = reactions.some(reaction => reaction.emoji === emoji);
  const all = known ? reactions : [...reactions, { emoji, users: [], own: false }];
  return all.flatMap(reaction => {
    if (reaction.emoji !== emoji) return [reaction];
    const others = reaction.users.filter(user => user !== me);
    const users = on ? [...others, me] : others;
    return users.length === 0 ? [] : [{ emoji, users, own: on }];
  });
}
