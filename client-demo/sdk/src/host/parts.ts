/** What a driver is made of: the browser's own things, or a test's. */
import type { Dial } from '../link/carrier';
import type { Entropy } from '../machine/effect';
import { OutboxStore } from './outbox-store';
import { type Areas, areas } from './storage';
import { Holdings } from './tab';

/** Everything outside that a client touches. */
export interface Parts {
  readonly dial: Dial;
  readonly entropy: Entropy;
  readonly areas: Areas;
  readonly holdings: Holdings;
  readonly store: OutboxStore;
  /** Unix milliseconds by the local clock. */
  readonly wallClock: () => number;
}

/** The parts of a client in a browser. */
export function browserParts(namespace: string, persist: boolean, dial: Dial): Parts {
  const places = areas(namespace, persist);
  return {
    dial,
    areas: places,
    holdings: new Holdings(namespace),
    store: new OutboxStore(namespace, places.tab, persist),
    entropy: {
      unit: () => Math.random(),
      bytes: count => crypto.getRandomValues(new Uint8Array(count)),
    },
    wallClock: () => Date.now(),
  };
}
