/** What may be done with a message, and by whom; and what the composer is about besides a new message. */
import type { DuetClient, Message } from '@duet/client';

/** A message that is answered or edited. */
export interface Task {
  readonly type: 'reply' | 'edit';
  readonly message: Message;
}

/** What the client's user may do with a message. The server has the last word. */
export function mayDo(
  message: Message,
  client: Pick<DuetClient, 'info' | 'me'> | undefined,
  mute: boolean,
): readonly ('reply' | 'edit' | 'delete' | 'react')[] {
  if (client === undefined || message.seq === undefined || message.deleted !== undefined) return [];
  if (!client.info.amendments) return mute ? [] : ['reply'];
  const leads = client.me?.role === 'supervisor' || client.me?.role === 'service';
  const mine = message.own || leads;
  const isText = message.content.format === 'text';
  return [
    'react' as const,
    ...(mute ? [] : ['reply' as const]),
    ...(mine && isText && !mute ? ['edit' as const] : []),
    ...(mine ? ['delete' as const] : []),
  ];
}

/** Whether a user may write notes. */
export function isStaff(client: Pick<DuetClient, 'info' | 'me'> | undefined): boolean {
  const role = client?.me?.role;
  return client?.info.amendments === true && role !== undefined && role !== 'visitor';
}
