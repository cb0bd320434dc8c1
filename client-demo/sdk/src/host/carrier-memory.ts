/**
 * Which carriers hung lately: kept over a reload, per kind of network and host, for ten minutes, at most sixteen of them. A browser
 * does not tell one Wi-Fi from another; who is wrong for it is found out by the next probe for a better carrier.
 */
import type { Transport } from '../api';
import type { CarrierMemory } from '../link/race';
import type { Address } from '../machine/effect';
import { type Area, isRecord, parsed } from './storage';

const KEY = 'carriers';
/** How long it is remembered, milliseconds. */
const REMEMBER_MS = 600_000;
const REMEMBERED_MAX = 16;

/** One failure, by the wall clock. */
interface Failure {
  readonly key: string;
  readonly at: number;
}

/** The memory in `area`. */
export function carrierMemory(area: Area, wallClock: () => number): CarrierMemory {
  const fresh = (): Failure[] => {
    const value = parsed(area.get(KEY));
    const now = wallClock();
    const all = Array.isArray(value) ? value.filter(isFailure) : [];
    return all.filter(({ at }) => at <= now && now - at < REMEMBER_MS);
  };
  return {
    failedLately: (address, transport) => {
      const key = keyOf(address, transport);
      return fresh().some(failure => failure.key === key);
    },
    remember: (address, transport, failed) => {
      const key = keyOf(address, transport);
      const before = fresh();
      if (!failed && !before.some(failure => failure.key === key)) return;
      const others = before.filter(failure => failure.key !== key);
      const all = failed ? [...others, { key, at: wallClock() }] : others;
      area.set(KEY, all.length === 0 ? undefined : JSON.stringify(all.slice(-REMEMBERED_MAX)));
    },
  };
}

function keyOf(address: Address, transport: Transport): string {
  return `${networkKind()} ${new URL(address.url).host} ${transport}`;
}

/** `wifi`, `cellular`, `ethernet`, as far as the browser tells. */
function networkKind(): string {
  const connection =
    typeof navigator !== 'undefined' && 'connection' in navigator ? navigator.connection : undefined;
  return isRecord(connection) && typeof connection['type'] === 'string' ? connection['type'] : 'network';
}

function isFailure(value: unknown): value is Failure {
  return isRecord(value) && typeof value['key'] === 'string' && typeof value['at'] === 'number';
}
