/** What people are called: the name that the conversation knows, else what its log tells, else the id. */
import type { Conversation, InboxEntry } from '@duet/client';

/** The name of a user in a conversation. */
export function nameOf(conversation: Conversation | undefined, user: string): string {
  const member = conversation?.members.find(candidate => candidate.user === user);
  if (member !== undefined && member.name !== '') return member.name;
  const joined = conversation?.timeline.findLast(
    entry => entry.kind === 'member.joined' && entry.user === user,
  );
  return joined?.kind === 'member.joined' && joined.name !== '' ? joined.name : user;
}

/** The visitor of a support conversation, as the list knows them. */
export function customerOf(entry: InboxEntry): { readonly user: string; readonly name: string } | undefined {
  const visitor = entry.members.find(member => member.role === 'visitor') ?? entry.members[0];
  return visitor === undefined ? undefined : { user: visitor.user, name: visitor.name || visitor.user };
}

/** One or two letters for an avatar. */
export function initials(name: string): string {
  const words = name
    .trim()
    .split(/[\s\-_]+/u)
    .filter(word => word !== '');
  const [first, last] = [words[0] ?? '', words.length > 1 ? (words.at(-1) ?? '') : ''];
  return (letter(first) + letter(last)).toUpperCase() || '?';
}

/** A hue for an avatar: the same for the same id. */
export function hueOf(user: string): number {
  let hash = 0;
  for (const unit of user) hash = (hash * 31 + (unit.codePointAt(0) ?? 0)) % 360;
  return hash;
}

function letter(word: string): string {
  const { value } = new Intl.Segmenter().segment(word)[Symbol.iterator]().next();
  return value?.segment ?? '';
}
