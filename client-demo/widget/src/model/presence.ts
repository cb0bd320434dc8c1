/** What is known of somebody's presence, as a shape and a word. Nothing is claimed that is not known. */
import type { Presence } from '@duet/client';
import type { TextKey } from '../text/en';

/** Full dot, bar in a dot, half dot, ring, dotted ring. */
export type PresenceShape = 'online' | 'busy' | 'away' | 'offline' | 'unsure';

/** A shape and the text that says the same. */
export interface PresenceLook {
  readonly shape: PresenceShape;
  readonly text: TextKey;
}

/** How a presence looks; `undefined` when nothing is known. What the server observes outweighs what was chosen. */
export function presenceLook(presence: Presence | undefined): PresenceLook | undefined {
  if (presence === undefined) return undefined;
  const { availability, connectivity } = presence;
  if (connectivity === 'offline' || availability === 'offline') return look('offline');
  if (connectivity === 'reconnecting') return { shape: 'unsure', text: 'presence.reconnecting' };
  if (availability === 'online' && connectivity === 'idle') return { shape: 'away', text: 'presence.idle' };
  return look(availability);
}

function look(shape: 'online' | 'busy' | 'away' | 'offline'): PresenceLook {
  return { shape, text: `presence.${shape}` };
}
