/**
 * Where to dial next: the address that a server named, then the last good one, its peers, then the others in the order
 * that the application gave.
 */
import type { Endpoint } from '../api';
import type { Address } from './effect';

const PATH = '/duet/v1';

/** The addresses of a client. */
export class Endpoints {
  readonly #given: readonly Address[];
  #peers: readonly Address[] = [];
  #good: Address | undefined;
  #target: Address | undefined;
  #turn = 0;

  constructor(given: readonly Address[]) {
    this.#given = given;
  }

  /** The address for the next try. */
  next(): Address | undefined {
    if (this.#target !== undefined) {
      const target = this.#target;
      this.#target = undefined;
      return target;
    }
    const order = this.#order();
    return order[this.#turn++ % Math.max(1, order.length)];
  }

  /** The address worked: it comes first from now on. */
  succeeded(address: Address, peers: readonly string[]): void {
    this.#good = address;
    this.#peers = peers.map(peer => this.named(peer));
    this.#turn = 0;
  }

  /** The next try goes to this address (`host:port`), named by a server. */
  aim(endpoint: string): void {
    this.#target = this.named(endpoint);
  }

  /** The next try goes to another address than `current`; `false` when there is none. */
  aimAway(current: Address): boolean {
    const other = this.#order().find(address => address.url !== current.url);
    this.#target = other;
    return other !== undefined;
  }

  /** The address of `host:port`: the given one, if it is among those, for it may have carriers of its own. */
  named(endpoint: string): Address {
    const address = resolve(endpoint);
    return this.#given.find(given => given.url === address.url) ?? address;
  }

  #order(): readonly Address[] {
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
  };
}
