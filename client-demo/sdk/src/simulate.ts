/**
 * `@duet/client/simulate`: what networks, servers and tokens do to a client, on demand, for those who build applications: to see
 * the page while it reconnects, falls back, moves. Load it before the client is made; a bundle without this import has none of it.
 *
 * ```ts
 * import { simulate } from '@duet/client/simulate';
 * const fault = simulate(client, 'udp_blocked'); // until fault.end(), or for { forMs }
 * ```
 */
import type { Transport } from './api';
import { hooks } from './host/hooks';
import type { Driver } from './host/driver';
import type { Carrier, CarrierEvents, Dial } from './link/carrier';
import { Code } from './protocol/reject';

/**
 * What can be had:
 *
 * - `drop`: every connection breaks now, and may come back at once
 * - `offline`: every connection breaks, and none can be opened
 * - `node_down`: the node in use is gone: its connections break, and nobody answers at its address
 * - `slow`: everything takes `delayMs` longer, in both directions
 * - `path_dead`: the connections in use carry nothing any more, without a word; new ones do
 * - `blackhole`: nothing passes any more, without a word, on old connections and new ones
 * - `udp_blocked`: WebTransport passes nothing; `websocket_blocked`: neither WebTransport nor WebSocket does
 * - `network_changed`: the page is told of another network
 * - `drain`: the node asks to leave it, to `endpoint` if one is given
 * - `token_expired`: the server ends the connection because the token is not good any more (3500)
 * - `token_refresh`: the token is due: a fresh one is asked for and presented in band
 * - `replaced`: the session was taken by another tab (3511); that is the end of this client
 */
export type Fault =
  | 'drop'
  | 'offline'
  | 'node_down'
  | 'slow'
  | 'path_dead'
  | 'blackhole'
  | 'udp_blocked'
  | 'websocket_blocked'
  | 'network_changed'
  | 'drain'
  | 'token_expired'
  | 'token_refresh'
  | 'replaced';

/** How much of it. */
export interface FaultOptions {
  /** Ends by itself after so many milliseconds; until `end` otherwise. What happens once has no end. */
  readonly forMs?: number;
  /** For `slow`, each way. Default 1,000. */
  readonly delayMs?: number;
  /** For `drain`: `host:port`. */
  readonly endpoint?: string;
}

/** Begins a fault; throws a `TypeError` when this module was loaded after the client was made. */
export function simulate(client: object, fault: Fault, options: FaultOptions = {}): { end(): void } {
  const weather = weathers.get(client);
  const driver = drivers.get(client);
  if (weather === undefined || driver === undefined) {
    throw new TypeError('import @duet/client/simulate before the client is made');
  }
  const end = weather.begin(fault, options, driver);
  const timer = options.forMs === undefined ? undefined : setTimeout(end, options.forMs);
  return {
    end: () => {
      clearTimeout(timer);
      end();
    },
  };
}

const weathers = new WeakMap<object, Weather>();
const drivers = new WeakMap<object, Driver>();

hooks.dials = (client, dials) => {
  const weather = new Weather();
  weathers.set(client, weather);
  const under = (transport: Transport): Dial => weather.over(transport, dials[transport]);
  return {
    webtransport: under('webtransport'),
    websocket: under('websocket'),
    sse: under('sse'),
    poll: under('poll'),
  };
};
hooks.made = (client, driver) => {
  drivers.set(client, driver);
};

/** One connection under the weather. */
interface Exposed {
  readonly transport: Transport;
  readonly url: string;
  readonly carrier: Carrier;
  readonly events: CarrierEvents;
  silent: boolean;
  over: boolean;
}

/** What goes on at the moment between a client and its servers. */
class Weather {
  readonly #exposed = new Set<Exposed>();
  readonly #faults = new Set<Fault>();
  #downUrl: string | undefined;
  #delayMs = 0;

  /** Begins a fault; returns how it ends. */
  begin(fault: Fault, options: FaultOptions, driver: Driver): () => void {
    this.#faults.add(fault);
    this.#strike(fault, options, driver);
    return () => {
      this.#faults.delete(fault);
      if (fault === 'slow') this.#delayMs = 0;
      if (fault === 'node_down') this.#downUrl = undefined;
      if (fault === 'blackhole') this.#heal();
    };
  }

  /** A dialler that meets the weather. */
  over(transport: Transport, dial: Dial): Dial {
    return async (address, events, signal, above) => {
      const { url } = address;
      if (this.#faults.has('offline') || url === this.#downUrl) throw new Error('unreachable (simulated)');
      if (this.#blocks(transport)) await forever(signal);
      const hooked: { exposed?: Exposed } = {};
      const carrier = await dial(address, this.#events(events, hooked), signal, above);
      const exposed = { transport, url, carrier, events, silent: false, over: false };
      hooked.exposed = exposed;
      this.#exposed.add(exposed);
      return this.#carrier(exposed);
    };
  }

  #strike(fault: Fault, { delayMs = 1_000, endpoint }: FaultOptions, driver: Driver): void {
    const { connection } = driver.machine;
    switch (fault) {
      case 'drop':
      case 'offline':
        this.#end(() => true, Code.TRANSPORT_CLOSED);
        break;
      case 'node_down':
        this.#downUrl = connection.live?.address.url;
        this.#end(({ url }) => url === this.#downUrl, Code.TRANSPORT_CLOSED);
        break;
      case 'slow':
        this.#delayMs = delayMs;
        break;
      case 'path_dead':
      case 'blackhole':
        for (const exposed of this.#exposed) exposed.silent = true;
        break;
      case 'udp_blocked':
      case 'websocket_blocked':
        for (const exposed of this.#exposed) exposed.silent ||= this.#blocks(exposed.transport);
        break;
      case 'network_changed':
        driver.run((machine, now) => {
          machine.connection.wake(now, true);
        });
        break;
      case 'drain':
        driver.run((machine, now) => {
          machine.connection.draining(now, { moveAfterMs: 0, deadlineMs: 10_000, endpoint });
        });
        break;
      case 'token_expired':
        this.#end(() => true, Code.INVALID_TOKEN);
        break;
      case 'token_refresh':
        driver.run((machine, now) => {
          machine.connection.tokens.ended(now);
          machine.tick(now);
        });
        break;
      case 'replaced':
        this.#end(() => true, Code.REPLACED);
        break;
    }
  }

  #blocks(transport: Transport): boolean {
    if (this.#faults.has('blackhole')) return true;
    if (this.#faults.has('websocket_blocked'))
      return transport === 'webtransport' || transport === 'websocket';
    return this.#faults.has('udp_blocked') && transport === 'webtransport';
  }

  #heal(): void {
    for (const exposed of this.#exposed) exposed.silent = false;
  }

  #end(which: (exposed: Exposed) => boolean, code: number): void {
    for (const exposed of [...this.#exposed].filter(which)) {
      this.#exposed.delete(exposed);
      exposed.over = true;
      void exposed.carrier.close(0, 'simulated', true);
      exposed.events.down(code, 'simulated');
    }
  }

  #events(events: CarrierEvents, hooked: { readonly exposed?: Exposed }): CarrierEvents {
    const pass = (work: () => void): void => {
      const { exposed } = hooked;
      if (exposed?.over === true || exposed?.silent === true) return;
      this.#later(work, () => exposed?.over !== true);
    };
    return {
      frame: (lane, frame) => {
        pass(() => {
          events.frame(lane, frame);
        });
      },
      laneDown: lane => {
        pass(() => {
          events.laneDown(lane);
        });
      },
      down: (code, reason) => {
        if (hooked.exposed !== undefined) this.#exposed.delete(hooked.exposed);
        pass(() => {
          events.down(code, reason);
        });
      },
    };
  }

  #carrier(exposed: Exposed): Carrier {
    const { carrier } = exposed;
    const pass = (work: () => void): void => {
      if (!exposed.silent) this.#later(work, () => !exposed.over);
    };
    return {
      info: carrier.info,
      openLane: (lane, bulk, streamsMax) => {
        pass(() => {
          carrier.openLane(lane, bulk, streamsMax);
        });
      },
      finishLane: lane => {
        pass(() => {
          carrier.finishLane(lane);
        });
      },
      send: (lane, inner) => {
        pass(() => {
          carrier.send(lane, inner);
        });
      },
      signal: (inner, datagram) => {
        pass(() => {
          carrier.signal(inner, datagram);
        });
      },
      close: (code, reason, now) => {
        this.#exposed.delete(exposed);
        exposed.over = true;
        return carrier.close(code, reason, now);
      },
    };
  }

  /** Timers of equal length keep their order, so frames do too while the delay stays the same. */
  #later(work: () => void, counts: () => boolean): void {
    if (this.#delayMs === 0) {
      work();
      return;
    }
    setTimeout(() => {
      if (counts()) work();
    }, this.#delayMs);
  }
}

/** Never resolves; rejects when it is not wanted any more. */
function forever(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void => {
      reject(new Error('not wanted any more'));
    };
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
  });
}
