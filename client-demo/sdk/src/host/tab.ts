/**
 * Which tab is which. A tab keeps its id over a reload; a tab that was copied has the id of the first, finds it taken, and gets
 * a new one, so that it does not take the first one's session away. One tab at a time looks after messages whose tab is gone.
 *
 * With Web Locks a tab holds a lock named by its id for as long as it lives. Without, tabs ask each other over a
 * BroadcastChannel. Without either every tab believes that it is alone, and the server's ids keep messages single.
 */

/** How long a tab's former self may take to let go after a reload, milliseconds. */
const CLAIM_WITHIN_MS = 500;
const ASK_WITHIN_MS = 150;

/** What a tab holds; all of it is let go by `release`. */
export class Holdings {
  readonly #prefix: string;
  readonly #releases: (() => void)[] = [];
  readonly #locks: LockManager | undefined;

  constructor(namespace: string, locks = availableLocks()) {
    this.#prefix = `duet:${namespace}:`;
    this.#locks = locks;
  }

  /** Tries to hold `name`; `false` when another tab does. */
  async claim(name: string): Promise<boolean> {
    const locks = this.#locks;
    if (locks === undefined) return this.#ask(name);
    const signal = AbortSignal.timeout(CLAIM_WITHIN_MS);
    return new Promise(resolve => {
      const held = async (): Promise<void> => {
        resolve(true);
        await this.#released();
      };
      locks.request(this.#prefix + name, { signal }, held).catch(() => {
        resolve(false);
      });
    });
  }

  /** Waits, for as long as it takes, to be the one that holds `name`. */
  async lead(name: string): Promise<void> {
    const locks = this.#locks;
    if (locks === undefined) return;
    const controller = new AbortController();
    this.#releases.push(() => {
      controller.abort();
    });
    await new Promise<void>(resolve => {
      const held = async (): Promise<void> => {
        resolve();
        await this.#released();
      };
      locks.request(this.#prefix + name, { signal: controller.signal }, held).catch(() => undefined);
    });
  }

  /** Names that somebody holds; `undefined` when that cannot be known. */
  async held(): Promise<ReadonlySet<string> | undefined> {
    if (this.#locks === undefined) return undefined;
    const { held = [] } = await this.#locks.query();
    const names = held.flatMap(lock => lock.name ?? []).filter(name => name.startsWith(this.#prefix));
    return new Set(names.map(name => name.slice(this.#prefix.length)));
  }

  release(): void {
    for (const release of this.#releases.splice(0)) release();
  }

  #released(): Promise<void> {
    return new Promise(resolve => {
      this.#releases.push(resolve);
    });
  }

  #ask(name: string): Promise<boolean> {
    if (typeof BroadcastChannel === 'undefined') return Promise.resolve(true);
    const channel = new BroadcastChannel(this.#prefix + name);
    return new Promise(resolve => {
      const alone = setTimeout(() => {
        channel.onmessage = ({ data }) => {
          if (data === 'anybody?') channel.postMessage('taken');
        };
        this.#releases.push(() => {
          channel.close();
        });
        resolve(true);
      }, ASK_WITHIN_MS);
      channel.onmessage = ({ data }) => {
        if (data !== 'taken') return;
        clearTimeout(alone);
        channel.close();
        resolve(false);
      };
      channel.postMessage('anybody?');
    });
  }
}

function availableLocks(): LockManager | undefined {
  // Missing outside secure contexts, whatever the type says.
  return typeof navigator === 'undefined' ? undefined : navigator.locks;
}
