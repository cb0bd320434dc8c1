/**
 * The outbox over reloads: one record per message in IndexedDB, with the tab that sends it.
 *
 * A write to IndexedDB is not done when a page goes away right behind it, so every message is first noted in the tab's own
 * storage, at once, and the note is taken away when the database has the message. Without a database the notes are what
 * is left. Nothing here is on the way of a message: the machine sends without waiting for it.
 */
import { isAct } from '../machine/acts';
import type { OutboxEntry } from '../machine/effect';
import { type Area, fromBase64, isRecord, parsed, toBase64 } from './storage';

const STORE = 'outbox';
const NOTE = 'note:';

/** A message and the tab that is to send it. */
export interface OutboxRecord {
  readonly tab: string;
  readonly entry: OutboxEntry;
}

/** Stored messages of one namespace. */
export class OutboxStore {
  readonly #notes: Area;
  readonly #database: Promise<IDBDatabase | undefined>;

  constructor(namespace: string, notes: Area, persist: boolean) {
    this.#notes = notes;
    this.#database = persist ? open(`duet:${namespace}`) : Promise.resolve(undefined);
  }

  put(record: OutboxRecord): void {
    const { id } = record.entry;
    this.#notes.set(NOTE + id, note(record));
    void this.#with('readwrite', store => store.put({ ...record, id })).then(done => {
      if (done) this.#notes.set(NOTE + id, undefined);
    });
  }

  remove(id: string): void {
    this.#notes.set(NOTE + id, undefined);
    void this.#with('readwrite', store => store.delete(id));
  }

  /** Everything that is stored, of all tabs, and what this tab had noted. */
  async all(): Promise<OutboxRecord[]> {
    const found: OutboxRecord[] = [];
    await this.#with('readonly', store => {
      const request = store.getAll();
      request.onsuccess = () => {
        found.push(...request.result.filter(isOutboxRecord));
      };
    });
    for (const key of this.#notes.keys()) {
      const record = key.startsWith(NOTE) ? readNote(this.#notes.get(key)) : undefined;
      if (record !== undefined && !found.some(({ entry }) => entry.id === record.entry.id))
        found.push(record);
    }
    return found;
  }

  /** Runs one transaction; `false` when there is no database or it failed. */
  async #with(mode: IDBTransactionMode, work: (store: IDBObjectStore) => unknown): Promise<boolean> {
    const database = await this.#database;
    if (database === undefined) return false;
    return new Promise(resolve => {
      try {
        const transaction = database.transaction(STORE, mode);
        transaction.oncomplete = () => {
          resolve(true);
        };
        transaction.onerror = transaction.onabort = () => {
          resolve(false);
        };
        work(transaction.objectStore(STORE));
      } catch {
        resolve(false);
      }
    });
  }
}

/** Opens the database; `undefined` where there is none, as in private windows of some browsers. */
function open(name: string): Promise<IDBDatabase | undefined> {
  return new Promise(resolve => {
    try {
      const request = indexedDB.open(name, 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore(STORE, { keyPath: 'id' });
      };
      request.onsuccess = () => {
        const database = request.result;
        database.onversionchange = () => {
          database.close();
        };
        resolve(database);
      };
      request.onerror = request.onblocked = () => {
        resolve(undefined);
      };
    } catch {
      resolve(undefined);
    }
  });
}

function note({ tab, entry }: OutboxRecord): string {
  const content = { format: entry.content.format, body: toBase64(entry.content.body) };
  return JSON.stringify({ tab, entry: { ...entry, content } });
}

function readNote(text: string | undefined): OutboxRecord | undefined {
  const value = parsed(text);
  const entry = isRecord(value) ? value['entry'] : undefined;
  const content = isRecord(entry) ? entry['content'] : undefined;
  if (!isRecord(value) || !isRecord(entry) || !isRecord(content)) return undefined;
  const body = typeof content['body'] === 'string' ? fromBase64(content['body']) : undefined;
  const record = { ...value, entry: { ...entry, content: { ...content, body } } };
  return isOutboxRecord(record) ? record : undefined;
}

/** Another version of this library, or somebody else's script, may have written what is found. */
function isOutboxRecord(value: unknown): value is OutboxRecord {
  if (!isRecord(value) || typeof value['tab'] !== 'string' || !isRecord(value['entry'])) return false;
  const { id, conversation, owner, act, content, durability, queuedAt } = value['entry'];
  const texts = [id, conversation, owner, durability].every(text => typeof text === 'string');
  if (!texts || !isAct(act) || typeof queuedAt !== 'number' || !isRecord(content)) return false;
  return typeof content['format'] === 'number' && content['body'] instanceof Uint8Array;
}
