/** How a conversation stands: its kind, stage, subject, assignee and members, as it was opened and as events change it since. */
import type { Opened } from '../protocol/delivery';
import type { ConversationKind, ConversationStatus, TimelineEntry } from '../values';
import { Roster } from './roster';

/** The standing of one conversation. */
export class Standing {
  readonly roster = new Roster();
  kind: ConversationKind | undefined;
  status: ConversationStatus | undefined;
  subject: string | undefined;
  assignee: string | undefined;
  /** Members and stage are those at this seq; events up to it are history and change nothing. */
  #asOf = 0;

  opened(opened: Opened): void {
    this.kind = opened.kind;
    this.status = opened.status;
    this.subject = opened.subject;
    this.assignee = opened.assignee;
    this.#asOf = opened.head.seq;
    this.roster.reset(opened.members, opened.memberCount);
  }

  /** What an entry changes about the conversation itself. Returns who has read up to it by that, if anybody. */
  apply(entry: TimelineEntry): string | undefined {
    if ((entry.seq ?? 0) <= this.#asOf) return undefined;
    switch (entry.kind) {
      case 'member.joined':
        this.roster.joined(entry.user, entry.name, entry.role);
        return entry.user;
      case 'member.left':
        this.roster.left(entry.user);
        if (entry.user === this.assignee) this.assignee = undefined;
        return undefined;
      case 'member.identified':
        this.roster.identified(entry.before, entry.user, entry.name);
        return undefined;
      case 'assigned':
        this.assignee = entry.agent;
        this.status = 'active';
        return undefined;
      case 'status.changed':
        this.status = entry.status;
        if (entry.status === 'queued') this.assignee = undefined;
        return undefined;
      case 'message':
        return entry.author;
      case 'created':
      case 'system':
        return undefined;
    }
  }

  /** The user is another one now: nothing here is theirs. */
  reset(): void {
    this.roster.reset([], 0);
  }
}
