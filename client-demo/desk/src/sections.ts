/** The queue's order: who waits comes first and longest first, then one's own, then colleagues', then what is done. */
import type { InboxEntry } from '@duet/client';
import type { TextKey } from '@duet/widget';

/** A part of the queue under one heading. */
export interface Section {
  readonly title: TextKey;
  readonly entries: readonly InboxEntry[];
}

/** The parts that are not empty, for the agent `me`. */
export function sectionsOf(list: readonly InboxEntry[], me: string): Section[] {
  const support = list.filter(entry => entry.kind === 'support' && entry.status !== 'closed');
  const of = (wanted: (entry: InboxEntry) => boolean): InboxEntry[] => support.filter(wanted);
  const sections: Section[] = [
    { title: 'desk.waiting', entries: of(entry => entry.status === 'queued').reverse() },
    { title: 'desk.mine', entries: of(entry => entry.status === 'active' && entry.assignee === me) },
    { title: 'desk.others', entries: of(entry => entry.status === 'active' && entry.assignee !== me) },
    { title: 'desk.done', entries: of(entry => entry.status === 'resolved') },
  ];
  return sections.filter(section => section.entries.length > 0);
}

/** The conversation `step` places after `current`, as the queue shows them; the first or last one without `current`. */
export function neighbour(
  sections: readonly Section[],
  current: string | undefined,
  step: 1 | -1,
): string | undefined {
  const order = sections.flatMap(section => section.entries.map(entry => entry.conversation));
  const at = current === undefined ? -1 : order.indexOf(current);
  if (at === -1) return order.at(step === 1 ? 0 : -1);
  return order[(at + step + order.length) % order.length];
}
