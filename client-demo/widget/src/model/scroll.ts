/** Where the reader was in a conversation, kept for the tab, so that a reload shows the same lines. */

/** A row by its seq, and how far its upper edge lay below the upper edge of the view, CSS pixels. */
export interface ScrollPlace {
  readonly seq: number;
  readonly offset: number;
}

const PREFIX = 'duet:scroll:';

/** Keeps the place; `undefined` means the end of the conversation, where every reader begins. */
export function saveScroll(key: string, place: ScrollPlace | undefined): void {
  try {
    if (place === undefined) sessionStorage.removeItem(PREFIX + key);
    else sessionStorage.setItem(PREFIX + key, JSON.stringify(place));
  } catch {
    // Without storage every reload begins at the end.
  }
}

/** The kept place, if there is one that makes sense. */
export function loadScroll(key: string): ScrollPlace | undefined {
  try {
    const value: unknown = JSON.parse(sessionStorage.getItem(PREFIX + key) ?? 'null');
    return isPlace(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isPlace(value: unknown): value is ScrollPlace {
  if (typeof value !== 'object' || value === null) return false;
  const { seq, offset } = value as Partial<Record<'seq' | 'offset', unknown>>;
  return Number.isSafeInteger(seq) && typeof offset === 'number';
}
