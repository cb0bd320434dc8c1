/**
 * What survives a reload, small things: per tab (session, positions, what is not in the outbox's database yet) and per
 * installation (device, clock, the chat). Storage that is missing, forbidden or full is replaced by memory, entry by entry.
 */
import type { SavedPosition, SavedSession } from '../machine/effect';

/** A place for texts. */
export interface Area {
  get(key: string): string | undefined;
  set(key: string, value: string | undefined): void;
  keys(): string[];
}

/** The two areas of a client, under its namespace. */
export interface Areas {
  readonly tab: Area;
  readonly device: Area;
}

/** Positions that are kept; the oldest go first. */
export const POSITIONS_MAX = 200;

/** The browser's storage under `namespace`, or memory. */
export function areas(namespace: string, persist: boolean): Areas {
  const prefix = `duet:${namespace}:`;
  if (!persist) return { tab: memoryArea(), device: memoryArea() };
  return { tab: webArea('sessionStorage', prefix), device: webArea('localStorage', prefix) };
}

export function memoryArea(): Area {
  const values = new Map<string, string>();
  return {
    get: key => values.get(key),
    set: (key, value) => {
      if (value === undefined) values.delete(key);
      else values.set(key, value);
    },
    keys: () => [...values.keys()],
  };
}

export function loadSession(area: Area): SavedSession | undefined {
  const value = parsed(area.get('session'));
  if (!isRecord(value)) return undefined;
  const { session, resume, tenant, user, epoch, peers } = value;
  const texts = [session, resume, tenant, user];
  if (!texts.every(text => typeof text === 'string') || typeof epoch !== 'number') return undefined;
  const [id = '', token = '', company = '', person = ''] = texts;
  const named = Array.isArray(peers) ? peers.filter(peer => typeof peer === 'string') : [];
  return { session: id, resume: fromBase64(token), tenant: company, user: person, epoch, peers: named };
}

export function saveSession(area: Area, session: SavedSession | undefined): void {
  const value = session && JSON.stringify({ ...session, resume: toBase64(session.resume) });
  area.set('session', value);
}

export function loadPositions(area: Area): SavedPosition[] {
  const value = parsed(area.get('positions'));
  return Array.isArray(value) ? value.filter(isPosition) : [];
}

export function savePositions(area: Area, positions: readonly SavedPosition[]): void {
  area.set('positions', JSON.stringify(positions));
}

export function toBase64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(''));
}

export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.from(atob(text), char => char.charCodeAt(0));
  } catch {
    return new Uint8Array(0);
  }
}

/** The value of a JSON text; `undefined` for anything else. */
export function parsed(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isPosition(value: unknown): value is SavedPosition {
  if (!isRecord(value)) return false;
  const numbers = [value['epoch'], value['seq'], value['read']];
  return typeof value['conversation'] === 'string' && numbers.every(number => typeof number === 'number');
}

function webArea(name: 'sessionStorage' | 'localStorage', prefix: string): Area {
  const memory = memoryArea();
  const storage = (): Storage | undefined => {
    try {
      return globalThis[name];
    } catch {
      return undefined;
    }
  };
  if (storage() === undefined) return memory;
  return {
    get: key => memory.get(key) ?? storage()?.getItem(prefix + key) ?? undefined,
    set: (key, value) => {
      memory.set(key, undefined);
      try {
        if (value === undefined) storage()?.removeItem(prefix + key);
        else storage()?.setItem(prefix + key, value);
      } catch {
        memory.set(key, value);
      }
    },
    keys: () => {
      const found = Object.keys(storage() ?? {}).filter(key => key.startsWith(prefix));
      return [...memory.keys(), ...found.map(key => key.slice(prefix.length))];
    },
  };
}
