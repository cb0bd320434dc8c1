/** How this browser dials: both carriers raced, with what the application's options say about them. */
import type { CertificateHash, ClientOptions } from '../api';
import type { Dial } from '../link/carrier';
import { race } from '../link/race';
import { dialWebSocket } from '../link/websocket';
import { type Hash, hasWebTransport, webTransportDial } from '../link/webtransport';
import { areas, fromBase64 } from './storage';

const FAILED_KEY = 'webtransport-failed';

/** The dialler for these options. */
export function browserDial(options: ClientOptions, namespace: string): Dial {
  const { device } = areas(namespace, options.persist ?? true);
  return race({
    webTransport: webTransportDial(() => hashes(options.serverCertificateHashes)),
    webSocket: dialWebSocket,
    mode: options.transport ?? 'auto',
    trusted: hasWebTransport() && !isWebKit(navigator.userAgent),
    memory: {
      read: () => Number(device.get(FAILED_KEY) ?? 0) || undefined,
      write: at => {
        device.set(FAILED_KEY, at === undefined ? undefined : String(at));
      },
    },
    wallClock: () => Date.now(),
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
