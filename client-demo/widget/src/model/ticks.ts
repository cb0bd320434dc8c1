/** How far a message has come, as a shape and a word: neither rests on colour alone. */
import type { MessageStatus } from '@duet/client';
import type { TextKey } from '../text/en';

/** The shapes, in the order in which a message goes through them. */
export type TickShape = 'clock' | 'one' | 'two' | 'filled' | 'coloured' | 'failed';

/** A shape and the text that says the same. */
export interface Tick {
  readonly shape: TickShape;
  readonly text: TextKey;
}

const TICKS: Readonly<Record<MessageStatus, Tick>> = {
  queued: { shape: 'clock', text: 'tick.queued' },
  accepted: { shape: 'one', text: 'tick.accepted' },
  mirrored: { shape: 'two', text: 'tick.mirrored' },
  delivered: { shape: 'filled', text: 'tick.delivered' },
  read: { shape: 'coloured', text: 'tick.read' },
  failed: { shape: 'failed', text: 'tick.failed' },
};

/** The tick of a message with this status. */
export function tickOf(status: MessageStatus): Tick {
  return TICKS[status];
}
