/** A browser for tests: tabs with their own storage, one database, locks that a closed tab lets go, and a network to a fake server. */
import { IDBFactory } from 'fake-indexeddb';
import type { ClientOptions } from '../src/api';
import { Client } from '../src/client';
import { OutboxStore } from '../src/host/outbox-store';
import type { Parts } from '../src/host/parts';
import { type Area, memoryArea } from '../src/host/storage';
import { Holdings } from '../src/host/tab';
import type { Carrier, CarrierEvents, Dial } from '../src/link/carrier';
import { FakeServer, tokenFor } from './fake-server';

export class Browser {
  readonly server = new FakeServer(() => Date.now());
  readonly device = memoryArea();
  readonly locks = new FakeLocks();
  online = true;
  #links = 0;
  readonly #carriers = new Map<number, CarrierEvents>();

  constructor() {
    globalThis.indexedDB = new IDBFactory();
  }

  /** A page in a tab; give it the tab of another page to reload that one, or a copy of it to duplicate the tab. */
  page(tab: Area = memoryArea(), options: Partial<ClientOptions> = {}): Page {
    const holdings = new Holdings('test', this.locks as unknown as LockManager);
    const parts: Parts = {
      dial: this.#dial,
      areas: { tab, device: this.device },
      holdings,
      store: new OutboxStore('test', tab, true),
      entropy: { unit: () => 0, bytes: count => crypto.getRandomValues(new Uint8Array(count)) },
      wallClock: () => Date.now(),
    };
    const client = new Client('https://a.example', { getToken: () => tokenFor('ann'), ...options }, parts);
    return { client, tab, holdings };
  }

  /** The page is gone without a word, as in a crash or a reload. */
  kill(page: Page): void {
    page.holdings.release();
    for (const link of this.#carriers.keys()) this.server.gone(link);
    this.#carriers.clear();
  }

  /** Breaks every connection. */
  drop(): void {
    for (const [link, events] of [...this.#carriers]) {
      this.#carriers.delete(link);
      this.server.gone(link);
      events.down(0, 'broken');
    }
  }

  readonly #dial: Dial = async (_, events) => {
    await Promise.resolve();
    if (!this.online) throw new Error('offline');
    const link = ++this.#links;
    this.#carriers.set(link, events);
    this.server.connected(link, (lane, frame) => {
      queueMicrotask(() => {
        if (this.#carriers.has(link)) events.frame(lane, frame);
      });
    });
    const hear = (lane: number, inner: Uint8Array): void => {
      queueMicrotask(() => {
        if (this.#carriers.has(link)) this.server.hear(link, lane, inner);
      });
    };
    const carrier: Carrier = {
      info: { transport: 'websocket', datagrams: false, better: false },
      openLane: () => undefined,
      finishLane: () => undefined,
      send: hear,
      signal: inner => {
        hear(0, inner);
      },
      close: async () => {
        await Promise.resolve();
        this.#carriers.delete(link);
        this.server.gone(link);
      },
    };
    return carrier;
  };
}

export interface Page {
  readonly client: Client;
  readonly tab: Area;
  readonly holdings: Holdings;
}

/** What a duplicated tab begins with. */
export function copyOf(area: Area): Area {
  const copy = memoryArea();
  for (const key of area.keys()) copy.set(key, area.get(key));
  return copy;
}

/** Web Locks within one process: exclusive, first come, first served. */
class FakeLocks {
  readonly #queues = new Map<string, (() => void)[]>();

  async request(name: string, options: { signal: AbortSignal }, work: () => Promise<void>): Promise<void> {
    const queue = this.#queues.get(name) ?? [];
    this.#queues.set(name, queue);
    await new Promise<void>((resolve, reject) => {
      queue.push(resolve);
      if (queue.length === 1) resolve();
      options.signal.addEventListener('abort', () => {
        if (queue[0] === resolve) return;
        queue.splice(queue.indexOf(resolve), 1);
        reject(new DOMException('aborted', 'AbortError'));
      });
    });
    await work();
    queue.shift();
    queue[0]?.();
  }

  query(): Promise<LockManagerSnapshot> {
    const names = [...this.#queues].filter(([, queue]) => queue.length > 0).map(([name]) => name);
    return Promise.resolve({ held: names.map(name => ({ name, mode: 'exclusive' })), pending: [] });
  }
}
