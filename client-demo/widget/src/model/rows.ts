/**
 * From a timeline to the rows of a message list: day separators, the unread line, what the system tells, and messages
 * grouped by sender and minute. Pure: the same entries give the same rows with the same keys.
 */
import type { Message, TimelineEntry } from '@duet/client';

/** What the system tells in a line of its own. */
export type SystemEntry = Exclude<TimelineEntry, Message>;

/** One row; `key` is unique in the list and stays the same for as long as the row means the same. */
export type Row =
  | { readonly type: 'day'; readonly key: string; readonly at: number }
  | { readonly type: 'unread'; readonly key: string }
  | { readonly type: 'system'; readonly key: string; readonly entry: SystemEntry }
  | {
      readonly type: 'message';
      readonly key: string;
      readonly message: Message;
      /** Begins a group: here the sender's name stands. */
      readonly first: boolean;
      /** Ends a group: here the time stands. */
      readonly last: boolean;
    };

/**
 * The rows of `entries`, which ascend. Before the first message of somebody else behind the seq `unreadAfter` stands the
 * unread line; `undefined` draws none.
 */
export function rowsOf(entries: readonly TimelineEntry[], unreadAfter?: number): Row[] {
  const rows: Row[] = [];
  let day = '';
  let drawn = unreadAfter === undefined;
  for (const entry of entries) {
    if (!isShown(entry)) continue;
    const today = dayOf(entry.at);
    if (today !== day) {
      rows.push({ type: 'day', key: `day:${today}`, at: entry.at });
      day = today;
    }
    if (entry.kind !== 'message') {
      rows.push({ type: 'system', key: `seq:${entry.seq}`, entry });
      continue;
    }
    if (!drawn && !entry.own && (entry.seq ?? 0) > (unreadAfter ?? 0)) {
      rows.push({ type: 'unread', key: 'unread' });
      drawn = true;
    }
    rows.push(grouped(rows, entry));
  }
  return rows;
}

/** The calendar day of a moment in the reader's time zone, as `2026-11-20`. */
export function dayOf(at: number): string {
  const date = new Date(at);
  const two = (number: number): string => String(number).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

const MINUTE_MS = 60_000;

/** The row of a message; the row before it no longer ends a group if the message belongs to it. */
function grouped(rows: Row[], message: Message): Row {
  const before = rows.at(-1);
  const joins = before?.type === 'message' && belong(before.message, message);
  if (joins) rows[rows.length - 1] = { ...before, last: false };
  return { type: 'message', key: message.id, message, first: !joins, last: true };
}

function belong(before: Message, message: Message): boolean {
  const sameMinute = Math.floor(before.at / MINUTE_MS) === Math.floor(message.at / MINUTE_MS);
  return before.own === message.own && before.author === message.author && sameMinute;
}

/** Joining is told by "assigned" where it matters; the first members are no news. A back end's event without words is for programs. */
function isShown(entry: TimelineEntry): boolean {
  if (entry.kind === 'system') return entry.text !== '';
  return entry.kind !== 'member.joined' && entry.kind !== 'created';
}
