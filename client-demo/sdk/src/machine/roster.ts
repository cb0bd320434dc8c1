/** The members of one conversation with their watermarks, as the server has told them. */
import type * as wire from '../protocol/delivery';
import type { Member, Presence, Role } from '../values';
import { presence } from './convert';

/** Who belongs to a conversation and how far everybody is. */
export class Roster {
  /** How many members there are, also when they are too many to be told. */
  count = 0;
  readonly #members = new Map<string, Member>();
  /** Watermarks by user: also of members of groups that are too large to be listed. */
  readonly #marks = new Map<string, { readonly received: number; readonly read: number }>();
  #view: readonly Member[] | undefined;

  get list(): readonly Member[] {
    this.#view ??= [...this.#members.values()];
    return this.#view;
  }

  /** Replaces everything by what a fresh subscription tells. */
  reset(members: readonly wire.Member[], count: number): void {
    this.#members.clear();
    for (const member of members) {
      this.#members.set(member.user, { ...member, presence: presence(member.presence) });
      this.#marks.set(member.user, { received: member.received, read: member.read });
    }
    this.count = count;
    this.#view = undefined;
  }

  joined(user: string, name: string, role: Role): void {
    if (this.#members.has(user)) return;
    const { received, read } = this.marks(user);
    this.#members.set(user, { user, name, role, received, read, presence: undefined });
    this.count = Math.max(this.count, this.#members.size);
    this.#view = undefined;
  }

  left(user: string): void {
    if (this.#members.delete(user)) this.count -= 1;
    this.#marks.delete(user);
    this.#view = undefined;
  }

  /** A member is known by another id from now on, who may be a member already. */
  identified(before: string, user: string, name: string): void {
    const { received, read } = this.marks(before);
    const role = this.#members.get(before)?.role ?? 'visitor';
    const count = this.count;
    const merged = this.#members.has(user);
    this.left(before);
    this.joined(user, name, role);
    this.receipt(user, received, read);
    this.count = merged ? count - 1 : count;
  }

  /** Watermarks never go back. Returns the new ones if they moved. */
  receipt(
    user: string,
    received: number,
    read: number,
  ): { readonly received: number; readonly read: number } | undefined {
    const old = this.marks(user);
    const marks = { received: Math.max(received, old.received), read: Math.max(read, old.read) };
    if (marks.received === old.received && marks.read === old.read) return undefined;
    this.#marks.set(user, marks);
    const member = this.#members.get(user);
    if (member !== undefined) this.#members.set(user, { ...member, ...marks });
    this.#view = undefined;
    return marks;
  }

  /** `true` when the user is a member here. */
  seen(value: Presence): boolean {
    const member = this.#members.get(value.user);
    if (member === undefined) return false;
    this.#members.set(value.user, { ...member, presence: value });
    this.#view = undefined;
    return true;
  }

  /** Whether the user may be a member: of large groups nobody is listed. */
  mayHold(user: string): boolean {
    return this.#members.has(user) || this.count > this.#members.size;
  }

  marks(user: string): { readonly received: number; readonly read: number } {
    return this.#marks.get(user) ?? { received: 0, read: 0 };
  }

  /** How far the farthest of the others is: what counts as delivered and as read. */
  farthest(me: string): { readonly received: number; readonly read: number } {
    let [received, read] = [0, 0];
    for (const [user, marks] of this.#marks) {
      if (user === me) continue;
      received = Math.max(received, marks.received, marks.read);
      read = Math.max(read, marks.read);
    }
    return { received, read };
  }
}
