/** How this host dials: the carriers raced, with what the application's options say about them. */
import type { CertificateHash, ClientOptions, Transport } from '../api';
import type { Dial } from '../link/carrier';
import { httpDial } from '../link/http';
import { race, TRANSPORTS } from '../link/race';
import { webSocketDial } from '../link/websocket';
import { type Hash, hasWebTransport, webTransportDial } from '../link/webtransport';
import { carrierMemory } from './carrier-memory';
import { hooks } from './hooks';
import { areas, fromBase64 } from './storage';

/** The dialler for these options. */
export function browserDial(options: ClientOptions, namespace: string, client: object): Dial {
  const { device } = areas(namespace, options.persist ?? true);
  const dials = {
    webtransport: webTransportDial(() => hashes(options.serverCertificateHashes)),
    websocket: webSocketDial(options.webSocket),
    sse: httpDial('sse'),
    poll: httpDial('poll'),
  };
  return race({
    dials: hooks.dials?.(client, dials) ?? dials,
    transports: chosen(options),
    memory: carrierMemory(device, () => Date.now()),
  });
}

/** Whether the engine is WebKit, as in Safari and in every browser on iOS. */
export function isWebKit(userAgent: string): boolean {
  return userAgent.includes('AppleWebKit/') && !/(?:Chrome|Chromium)\//.test(userAgent);
}

/** The bytes of a certificate's hash; throws a `TypeError` when it is none. */
export function hashBytes(hash: CertificateHash): Hash {
  const bytes = typeof hash === 'string' ? textHash(hash) : Uint8Array.from(hash);
  if (bytes.length !== 32) throw new TypeError('a certificate hash is a SHA-256: 32 bytes');
  return bytes;
}

/** What this host has of the carriers that may be used. */
function chosen({ transports, webSocket }: ClientOptions): readonly Transport[] {
  const here: Readonly<Record<Transport, boolean>> = {
    webtransport: hasWebTransport() && (transports !== undefined || !isWebKit(navigator.userAgent)),
    websocket: webSocket !== undefined || typeof WebSocket !== 'undefined',
    sse: typeof fetch !== 'undefined',
    poll: typeof fetch !== 'undefined',
  };
  return TRANSPORTS.filter(transport => here[transport] && (transports ?? TRANSPORTS).includes(transport));
}

async function hashes(source: ClientOptions['serverCertificateHashes']): Promise<readonly Hash[]> {
  const values = typeof source === 'function' ? await source() : (source ?? []);
  return values.map(hashBytes);
}

function textHash(text: string): Hash {
  const digits = text.replaceAll(':', '');
  if (!/^[0-9a-fA-F]{64}$/.test(digits)) {
    return fromBase64(text.replaceAll('-', '+').replaceAll('_', '/'));
  }
  return Uint8Array.from({ length: 32 }, (_, i) => parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}
