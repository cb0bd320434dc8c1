/**
 * What a user adds to a conversation: messages, notes, changes of messages. Each waits in the outbox as an entry, leaves as one command,
 * and becomes one event.
 */
import type { Command } from '../protocol/command';
import { fromWire } from './convert';
import type { OwnChange } from './changes';
import type { OutboxEntry } from './effect';

/** What an outbox entry is; a message unless it says otherwise. */
export type Act =
  | { readonly type: 'note' }
  | { readonly type: 'edit'; readonly target: number }
  | { readonly type: 'delete'; readonly target: number }
  | { readonly type: 'react'; readonly target: number; readonly emoji: string; readonly on: boolean };

/** The command that an entry leaves as. */
export function commandOf({ id, act, content, replyTo, durability }: OutboxEntry): Command {
  switch (act?.type) {
    case undefined:
      return { type: 'Publish', body: { id, content, replyTo, durability } };
    case 'note':
      return { type: 'Note', body: { id, content, replyTo, durability } };
    case 'edit': {
      const change = { type: 'edit', value: { target: act.target, content } } as const;
      return { type: 'Amend', body: { id, change, durability } };
    }
    case 'delete': {
      const change = { type: 'delete', value: { target: act.target } } as const;
      return { type: 'Amend', body: { id, change, durability } };
    }
    case 'react': {
      const { target, emoji, on } = act;
      const change = { type: 'react', value: { target, emoji, on } } as const;
      return { type: 'Amend', body: { id, change, durability } };
    }
  }
}

/** The seq of the message that an entry changes; `undefined` for one that is a message itself. */
export function targetOf({ act }: OutboxEntry): number | undefined {
  return act === undefined || act.type === 'note' ? undefined : act.target;
}

/** What an entry changes; `undefined` for one that is a message itself. */
export function ownChangeOf({ act, content }: OutboxEntry): OwnChange | undefined {
  if (act === undefined || act.type === 'note') return undefined;
  if (act.type === 'edit') return { type: 'edit', content: fromWire(content) };
  return act.type === 'delete' ? { type: 'delete' } : { type: 'react', emoji: act.emoji, on: act.on };
}

/** Whether this is an act: another version of this library may have stored it. */
export function isAct(value: unknown): value is Act | undefined {
  if (value === undefined) return true;
  if (typeof value !== 'object' || value === null || !('type' in value)) return false;
  if (value.type === 'note') return true;
  const target = 'target' in value && typeof value.target === 'number';
  if (value.type === 'react') return target && 'emoji' in value && typeof value.emoji === 'string';
  return target && (value.type === 'edit' || value.type === 'delete');
}
