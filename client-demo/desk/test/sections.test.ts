/** Laws of the queue's order. */
import type { ConversationStatus, InboxEntry } from '@duet/client';
import { describe, expect, it } from 'vitest';
import { neighbour, sectionsOf } from '../src/sections';

function entry(conversation: string, status: ConversationStatus, assignee?: string): InboxEntry {
  return {
    conversation,
    kind: 'support',
    status,
    subject: undefined,
    assignee,
    head: 1,
    activeAt: 0,
    read: 0,
    unread: 0,
    members: [],
  };
}

/** Latest activity first, as the inbox gives it. */
const list = [
  entry('new', 'queued'),
  entry('theirs', 'active', 'bo'),
  entry('mine', 'active', 'mira'),
  entry('done', 'resolved', 'mira'),
  entry('old', 'queued'),
  entry('gone', 'closed'),
];

describe('the queue', () => {
  it('puts who waits first, longest first, and leaves out what is closed', () => {
    const order = sectionsOf(list, 'mira').flatMap(section => section.entries.map(each => each.conversation));
    expect(order).toEqual(['old', 'new', 'mine', 'theirs', 'done']);
  });

  it('has no empty part', () => {
    expect(sectionsOf([entry('a', 'queued')], 'mira').map(section => section.title)).toEqual([
      'desk.waiting',
    ]);
    expect(sectionsOf([], 'mira')).toEqual([]);
  });

  it('goes round in the order in which it is shown', () => {
    const sections = sectionsOf(list, 'mira');
    expect(neighbour(sections, undefined, 1)).toBe('old');
    expect(neighbour(sections, 'new', 1)).toBe('mine');
    expect(neighbour(sections, 'done', 1)).toBe('old');
    expect(neighbour(sections, 'old', -1)).toBe('done');
    expect(neighbour([], 'old', 1)).toBeUndefined();
  });
});
