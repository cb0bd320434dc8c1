/**
 * Where to dial: the address that a server named, then the last good one, its peers, then the others in the order that the
 * application gave. Addresses that gave no answer in the last round come last.
 */
import type { Endpoint } from '../api';
import type { Address } from './effect';
import { covers } from './hosts';

const PATH = '/duet/v1';
/** Most peers that are remembered; a server that names more is not believed the rest. */
const PEERS_MAX = 16;

/** The addresses of a client. */
export class Endpoints {
  readonly #given: readonly Address[];
  readonly #hosts: readonly string[];
  #peers: readonly Address[] = [];
  #good: Address | undefined;
  #target: Address | undefined;
  #silent: readonly string[] = [];
  /** Rounds since the last good connection; each begins with another address. */
  #turn = 0;

  /** `hosts` may be followed besides those given; `peers` were named by a server of the session before a reload. */
  constructor(given: readonly Address[], hosts: readonly string[] = [], peers: readonly string[] = []) {
    this.#given = given;
    this.#hosts = hosts;
    this.#remember(peers);
  }

  /** All addresses in the order in which a round should try them. */
  round(): Address[] {
    const known = this.#order();
    const turn = this.#turn % Math.max(1, known.length);
    this.#turn += 1;
    const turned = [...known.slice(turn), ...known.slice(0, turn)];
    const rank = ({ url }: Address): number => Number(this.#silent.includes(url));
    const target = this.#target;
    this.#target = undefined;
    const order = turned.sort((a, b) => rank(a) - rank(b));
    if (target === undefined) return order;
    return [target, ...order.filter(({ url }) => url !== target.url)];
  }

  /** All but `current`. */
  others(current: Address): Address[] {
    return this.#order().filter(address => address.url !== current.url);
  }

  /** Whether there is more than one address. */
  get areSeveral(): boolean {
    return this.#order().length > 1;
  }

  /** What the peers are called, as far as they may be followed. */
  get peers(): readonly string[] {
    return this.#peers.map(({ url }) => url);
  }

  /** The address worked: it comes first from now on. */
  succeeded(address: Address, peers: readonly string[]): void {
    this.#good = address;
    this.#turn = 0;
    this.#silent = [];
    this.#remember(peers);
  }

  /** A round led nowhere, and these gave no answer in it. */
  failed(silent: readonly string[]): void {
    this.#silent = silent;
  }

  /** The last good one said that it is the wrong one: others first. */
  leave(): void {
    if (this.#good !== undefined && this.#turn === 0) this.#turn = 1;
  }

  /** The next round begins with this address. */
  aim(address: Address | undefined): void {
    this.#target = address;
  }

  /**
   * The address of `host:port` that a server named: the given one, if it is among those, for it may have carriers of its own;
   * `undefined` when the application's choice does not cover it.
   */
  named(endpoint: string | undefined): Address | undefined {
    if (endpoint === undefined || endpoint === '') return undefined;
    try {
      const address = resolve(endpoint);
      const given = this.#given.find(({ url }) => url === address.url);
      if (given !== undefined) return given;
      const hosts = this.#given.map(({ url }) => new URL(url).hostname);
      return covers(hosts, this.#hosts, new URL(address.url).hostname) ? address : undefined;
    } catch {
      return undefined;
    }
  }

  #remember(peers: readonly string[]): void {
    this.#peers = peers.slice(0, PEERS_MAX).flatMap(peer => this.named(peer) ?? []);
  }

  #order(): Address[] {
    const all = [...(this.#good === undefined ? [] : [this.#good]), ...this.#peers, ...this.#given];
    return all.filter((address, i) => all.findIndex(other => other.url === address.url) === i);
  }
}

/** Reads an endpoint; throws a `TypeError` when it is no address. */
export function resolve(endpoint: Endpoint): Address {
  const given = typeof endpoint === 'string' ? { url: endpoint } : endpoint;
  const url = new URL(given.url.includes('://') ? given.url : `https://${given.url}`);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw new TypeError(`an endpoint begins with https://, not ${url.protocol}`);
  }
  const base = `${url.origin}${url.pathname.replace(/\/$/, '')}`;
  const secure = url.protocol === 'https:';
  const webSocket = given.webSocket ?? `${base.replace(/^http/, 'ws')}${PATH}/ws`;
  return {
    url: base,
    webTransport: secure && given.webTransport !== false ? `${base}${PATH}` : undefined,
    webSocket: webSocket === false ? undefined : webSocket,
    http: given.http === false ? undefined : (given.http ?? `${base}${PATH}`).replace(/\/$/, ''),
  };
}
