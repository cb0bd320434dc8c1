/**
 * Whose messages this page looks after: those of its own tab, kept over a reload, and, in the one tab that leads, those whose
 * tab is gone.
 */
import type { OutboxEntry } from '../machine/effect';
import { randomUuid } from '../protocol/ids';
import type { Parts } from './parts';

/** How often the leading tab looks for messages whose tab is gone, milliseconds. */
const ORPHANS_EVERY_MS = 30_000;

/** Which tab this is, and what it takes up. */
export class Belongings {
  readonly #parts: Pick<Parts, 'areas' | 'entropy' | 'holdings' | 'store'>;
  readonly #restore: (entries: readonly OutboxEntry[]) => void;
  readonly #disown: () => void;
  #tab = '';
  #leads = false;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** `disown`: the stored session belongs to another tab. `restore`: these messages are this page's. */
  constructor(
    parts: Pick<Parts, 'areas' | 'entropy' | 'holdings' | 'store'>,
    events: { readonly disown: () => void; readonly restore: (entries: readonly OutboxEntry[]) => void },
  ) {
    this.#parts = parts;
    this.#restore = events.restore;
    this.#disown = events.disown;
  }

  /** This page's tab; empty until {@link claim} has found it. */
  get tab(): string {
    return this.#tab;
  }

  /** Finds out which tab this is, and takes its own messages up again. */
  async claim(): Promise<void> {
    const { areas: places, holdings, entropy } = this.#parts;
    const fresh = (): string => randomUuid(entropy.bytes(16));
    this.#tab = places.tab.get('tab') ?? fresh();
    if (!(await holdings.claim(tabLock(this.#tab)))) {
      this.#tab = fresh();
      await holdings.claim(tabLock(this.#tab));
      this.#disown();
    }
    places.tab.set('tab', this.#tab);
    await this.adopt();
    void holdings.lead('outbox').then(() => {
      this.#leads = true;
      return this.adopt();
    });
  }

  /** Looks for orphans from time to time. */
  watch(): void {
    this.#timer ??= setInterval(() => void this.adopt(), ORPHANS_EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#leads = false;
    this.#parts.holdings.release();
  }

  /** Takes up messages of this tab and, when leading, those whose tab is gone. */
  async adopt(): Promise<void> {
    const { store, holdings } = this.#parts;
    const records = await store.all();
    if (records.length === 0) return;
    const held = await holdings.held();
    const orphaned = (tab: string): boolean => held === undefined || (this.#leads && !held.has(tabLock(tab)));
    const mine = records.filter(({ tab }) => tab === this.#tab || orphaned(tab));
    for (const { tab, entry } of mine) if (tab !== this.#tab) store.put({ tab: this.#tab, entry });
    this.#restore(mine.map(({ entry }) => entry));
  }
}

function tabLock(tab: string): string {
  return `tab:${tab}`;
}
