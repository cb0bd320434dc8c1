/** Laws of the message list's rows. */
import type { ConversationAssigned, Message, TimelineEntry } from '@duet/client';
import { describe, expect, it } from 'vitest';
import { rowsOf } from '../src/model/rows';

const NOON = new Date(2026, 10, 20, 12, 0, 0).getTime();

function message(seq: number, at: number, author = 'ana', own = false): Message {
  return {
    kind: 'message',
    id: `m${seq}`,
    conversation: 'c',
    seq,
    at,
    author,
    own,
    content: { format: 'text', text: `text ${seq}` },
    text: `text ${seq}`,
    replyTo: undefined,
    edited: undefined,
    deleted: undefined,
    reactions: [],
    private: false,
    pending: undefined,
    status: 'accepted',
    replicas: undefined,
    error: undefined,
  };
}

function assigned(seq: number, at: number): ConversationAssigned {
  return { kind: 'assigned', conversation: 'c', seq, at, author: 'mira', agent: 'mira' };
}

/** Type of each row; of messages also whether they begin (`<`) and end (`>`) a group. */
function shape(entries: readonly TimelineEntry[], unreadAfter?: number): string[] {
  return rowsOf(entries, unreadAfter).map(row =>
    row.type === 'message' ? `${row.first ? '<' : ''}${row.key}${row.last ? '>' : ''}` : row.type,
  );
}

describe('rows', () => {
  it('groups what one sender says within one minute', () => {
    const entries = [message(1, NOON), message(2, NOON + 59_999), message(3, NOON + 60_000)];
    expect(shape(entries)).toEqual(['day', '<m1', 'm2>', '<m3>']);
  });

  it('never groups two senders, nor one user on both sides', () => {
    const entries = [message(1, NOON), message(2, NOON, 'mira', true), message(3, NOON, 'ana', true)];
    expect(shape(entries)).toEqual(['day', '<m1>', '<m2>', '<m3>']);
  });

  it('ends a group where the system says something', () => {
    const entries = [message(1, NOON), assigned(2, NOON), message(3, NOON)];
    expect(shape(entries)).toEqual(['day', '<m1>', 'system', '<m3>']);
  });

  it('begins every day with its separator, and groups nothing across midnight', () => {
    const midnight = new Date(2026, 10, 21, 0, 0, 0).getTime();
    expect(shape([message(1, midnight - 1), message(2, midnight)])).toEqual(['day', '<m1>', 'day', '<m2>']);
  });

  it('draws the unread line once, before the first message of somebody else that is unread', () => {
    const entries = [message(1, NOON), message(2, NOON, 'me', true), message(3, NOON), message(4, NOON)];
    expect(shape(entries, 1)).toEqual(['day', '<m1>', '<m2>', 'unread', '<m3', 'm4>']);
    expect(shape(entries, 4)).not.toContain('unread');
    expect(shape(entries)).not.toContain('unread');
  });

  it('gives every row a key of its own that older pages do not change', () => {
    const later = [message(5, NOON), assigned(6, NOON), message(7, NOON)];
    const keys = rowsOf(later).map(row => row.key);
    const all = rowsOf([message(4, NOON - 1), ...later]).map(row => row.key);
    expect(new Set(all).size).toBe(all.length);
    expect(all).toEqual(expect.arrayContaining(keys));
  });
});
