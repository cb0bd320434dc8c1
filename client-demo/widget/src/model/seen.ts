/**
 * What the reader has in view, and what follows from it: how far they have read, where the unread line stands, and how
 * many messages arrived below the fold.
 */
import type { TimelineEntry } from '@duet/client';

/** The reader's view of one conversation. A new message changes it, and so does scrolling. */
export interface Seen {
  /** The unread line stands behind this seq; `undefined`: nowhere. */
  readonly lineAfter: number | undefined;
  /** Seq up to which messages count as shown; what is behind it is new. */
  readonly shown: number;
}

/** The view when a conversation is opened that was read up to `read` and has `unread` messages behind that. */
export function opened(read: number, unread: number): Seen {
  return { lineAfter: unread > 0 ? read : undefined, shown: read };
}

/** The view after the timeline changed or the reader scrolled; `watching`: the end of the list is before their eyes. */
export function looked(seen: Seen, entries: readonly TimelineEntry[], watching: boolean): Seen {
  const last = lastSeq(entries);
  if (watching) return last > seen.shown ? { ...seen, shown: last } : seen;
  if (seen.lineAfter !== undefined || newBelow(seen, entries) === 0) return seen;
  return { ...seen, lineAfter: seen.shown };
}

/** The view after the reader wrote something: who answers has read. */
export function answered(seen: Seen): Seen {
  return seen.lineAfter === undefined ? seen : { ...seen, lineAfter: undefined };
}

/** Messages of others that have not been shown. */
export function newBelow(seen: Seen, entries: readonly TimelineEntry[]): number {
  return entries.filter(entry => entry.kind === 'message' && !entry.own && (entry.seq ?? 0) > seen.shown)
    .length;
}

/** The seq of the last entry that has one; 0 for none. */
export function lastSeq(entries: readonly TimelineEntry[]): number {
  return entries.findLast(entry => entry.seq !== undefined)?.seq ?? 0;
}
