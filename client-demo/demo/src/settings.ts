/** What the address and the device say about the page: whose side it shows, who they are, language, appearance. */
import type { Transport } from '@duet/client';
import { LANGUAGES, type Language } from '@duet/widget';

/** Whose side. */
export type Side = 'visitor' | 'agent';

/** Light, dark, or what the system has. */
export type Appearance = 'auto' | 'light' | 'dark';

/** One side's user. */
export interface Person {
  readonly side: Side;
  readonly user: string;
  /** Empty: the visitor has not said. */
  readonly name: string;
}

const TRANSPORTS = ['webtransport', 'websocket', 'sse', 'poll'] as const satisfies readonly Transport[];
const query = new URLSearchParams(location.search);

/** The only side to show, by `?as=`; `undefined` shows both. */
export function onlySide(): Side | undefined {
  const as = query.get('as');
  return as === 'visitor' || as === 'agent' ? as : undefined;
}

/** Who acts on a side: `?user=` and `?name=` where one side is shown, else what this device remembers. */
export function personOf(side: Side): Person {
  const asked = onlySide() === side ? query : new URLSearchParams();
  const user = asked.get('user') ?? remembered(`${side}.user`, () => fresh(side));
  const name = asked.get('name') ?? recall(`${side}.name`) ?? (side === 'agent' ? 'Mira' : '');
  return { side, user, name };
}

/** Whether the address names the visitor, so that nobody need be asked before the chat starts. */
export function isNamed(side: Side): boolean {
  return onlySide() === side && query.has('name');
}

/** `?transport=` forces a carrier. */
export function forcedTransport(): Transport | undefined {
  return TRANSPORTS.find(transport => transport === query.get('transport'));
}

/** `?endpoint=host:port`, as often as there are further nodes. */
export function furtherEndpoints(): readonly string[] {
  return query.getAll('endpoint');
}

/** `?certificate=`, the SHA-256 of a further node's certificate, as often as there are such. */
export function furtherCertificates(): readonly string[] {
  return query.getAll('certificate');
}

/** The chosen language, if one was chosen. */
export function storedLanguage(): Language | undefined {
  const language = query.get('lang') ?? recall('language');
  return language !== null && language in LANGUAGES ? (language as Language) : undefined;
}

/** The chosen appearance. */
export function storedAppearance(): Appearance {
  const appearance = query.get('theme') ?? recall('appearance');
  return appearance === 'light' || appearance === 'dark' ? appearance : 'auto';
}

/** Keeps a setting on this device; `undefined` forgets it. */
export function remember(key: string, value: string | undefined): void {
  try {
    if (value === undefined) localStorage.removeItem(PREFIX + key);
    else localStorage.setItem(PREFIX + key, value);
  } catch {
    // Without storage it holds for as long as the page.
  }
}

/** A kept setting. */
export function recall(key: string): string | null {
  try {
    return localStorage.getItem(PREFIX + key);
  } catch {
    return null;
  }
}

const PREFIX = 'duet:demo:';

function remembered(key: string, make: () => string): string {
  const value = recall(key) ?? make();
  remember(key, value);
  return value;
}

/** Every browser is a visitor of its own; agents share a desk. */
function fresh(side: Side): string {
  return side === 'agent' ? 'agent-1' : `visitor-${crypto.randomUUID().slice(0, 8)}`;
}
