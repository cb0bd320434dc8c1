/**
 * What was typed and not sent yet, per conversation. Kept on the device at every keystroke, so that neither a reload nor a
 * crash loses it.
 */

/** What of a storage is needed. */
export type DraftStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

/** Drafts under one prefix. Where storage is refused they live as long as the page. */
export class Drafts {
  readonly #prefix: string;
  readonly #memory = new Map<string, string>();
  readonly #storage: DraftStorage | undefined;

  constructor(namespace: string, storage: DraftStorage | undefined = deviceStorage()) {
    this.#prefix = `duet:draft:${namespace}:`;
    this.#storage = storage;
  }

  get(conversation: string): string {
    try {
      return this.#storage?.getItem(this.#prefix + conversation) ?? this.#memory.get(conversation) ?? '';
    } catch {
      return this.#memory.get(conversation) ?? '';
    }
  }

  set(conversation: string, text: string): void {
    this.#memory.set(conversation, text);
    try {
      if (text === '') this.#storage?.removeItem(this.#prefix + conversation);
      else this.#storage?.setItem(this.#prefix + conversation, text);
    } catch {
      // Full or refused: the copy in memory is all there can be.
    }
  }
}

function deviceStorage(): Storage | undefined {
  try {
    return localStorage;
  } catch {
    return undefined;
  }
}
