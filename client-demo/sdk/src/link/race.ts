/**
 * Which carrier: WebTransport first, WebSocket half a second behind, the first that stands wins and the other is given up.
 *
 * A WebTransport that hung while WebSocket stood is not tried for ten minutes (that is what networks do that swallow UDP), then
 * probed again; one that failed at once costs nothing to try, and may only have met a server that was starting. WebKit uses WebSocket unless told otherwise, because its WebTransport stalls (see docs of the protocol's carriers).
 * When WebTransport fails at once, WebSocket does not wait for its turn.
 */
import type { Transport } from '../api';
import type { Address } from '../machine/effect';
import type { Carrier, CarrierEvents, Dial } from './carrier';

/** How far WebSocket starts behind, milliseconds. */
const HEAD_START_MS = 500;
/** How long WebTransport may take when WebSocket has failed: more likely nobody is there than that only UDP passes. */
const ALONE_MS = 6_000;
/** How long WebTransport may come behind a WebSocket that has won without counting as failed, milliseconds. */
const LATE_MS = 3_000;
/** How long a failure of WebTransport is remembered, milliseconds. */
const REMEMBER_MS = 600_000;

/** Where a failure is remembered over a reload, by the wall clock. */
export interface FailureMemory {
  read(): number | undefined;
  write(at: number | undefined): void;
}

/** How the carriers are chosen. */
export interface RaceOptions {
  readonly webTransport: Dial;
  readonly webSocket: Dial;
  readonly mode: 'auto' | 'both' | 'webtransport' | 'websocket';
  /** Whether WebTransport may be used on this browser in mode `auto`. */
  readonly trusted: boolean;
  readonly memory: FailureMemory;
  /** Unix milliseconds. */
  readonly wallClock: () => number;
}

/** Makes one dialler of two. */
export function race(options: RaceOptions): Dial {
  return (address, events, signal) => {
    const { mode } = options;
    const failedAt = options.memory.read();
    const failedLately = failedAt !== undefined && options.wallClock() - failedAt < REMEMBER_MS;
    const possible = address.webTransport !== undefined && mode !== 'websocket';
    const socket = address.webSocket !== undefined && mode !== 'webtransport';
    const transport = possible && (!socket || mode === 'both' || (options.trusted && !failedLately));
    if (!transport) return options.webSocket(address, events, signal);
    if (!socket) return options.webTransport(address, events, signal);
    return new Race(options, address, events, signal).result;
  };
}

/** One dialler of the two. */
interface Runner {
  readonly transport: Transport;
  readonly abort: AbortController;
  state: 'running' | 'stands' | 'failed';
}

/** Runs both; the one that stands first silences the other. */
class Race {
  readonly result: Promise<Carrier>;
  readonly #options: RaceOptions;
  readonly #address: Address;
  readonly #events: CarrierEvents;
  readonly #runners: Runner[] = [];
  readonly #timers: ReturnType<typeof setTimeout>[] = [];
  #winner: Runner | undefined;
  #over = false;
  #settle: { resolve: (carrier: Carrier) => void; reject: (error: Error) => void } | undefined;

  constructor(options: RaceOptions, address: Address, events: CarrierEvents, signal: AbortSignal) {
    this.#options = options;
    this.#address = address;
    this.#events = events;
    this.result = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    signal.addEventListener('abort', () => {
      this.#end(new Error('not wanted any more'));
    });
    if (signal.aborted) this.#end(new Error('not wanted any more'));
    this.#start('webtransport');
    this.#after(HEAD_START_MS, () => {
      this.#start('websocket');
    });
  }

  #start(transport: Transport): void {
    if (this.#over || this.#runners.some(runner => runner.transport === transport)) return;
    const runner: Runner = { transport, abort: new AbortController(), state: 'running' };
    this.#runners.push(runner);
    const dial = transport === 'webtransport' ? this.#options.webTransport : this.#options.webSocket;
    const events = whileRacing(this.#events, () => this.#winner === undefined || this.#winner === runner);
    dial(this.#address, events, runner.abort.signal).then(
      carrier => {
        this.#stands(runner, carrier);
      },
      (error: unknown) => {
        this.#failed(runner, error);
      },
    );
  }

  #stands(runner: Runner, carrier: Carrier): void {
    runner.state = 'stands';
    // A WebTransport that comes second has not failed: it was only slow.
    if (runner.transport === 'webtransport') this.#options.memory.write(undefined);
    if (this.#over) {
      void carrier.close(0, 'another carrier was faster', true);
      return;
    }
    this.#winner = runner;
    this.#finish();
    const other = this.#runners.find(one => one !== runner && one.state === 'running');
    if (other?.transport === 'webtransport') {
      setTimeout(() => {
        this.#judge(other);
      }, LATE_MS);
    } else other?.abort.abort();
    this.#settle?.resolve(carrier);
  }

  /** WebSocket has won and WebTransport still hangs: that is what a network does that swallows UDP. */
  #judge(runner: Runner): void {
    if (runner.state !== 'running') return;
    this.#options.memory.write(this.#options.wallClock());
    runner.abort.abort();
  }

  #failed(runner: Runner, error: unknown): void {
    runner.state = 'failed';
    if (this.#over) return;
    this.#start('websocket');
    if (this.#runners.every(one => one.state === 'failed')) {
      this.#end(error instanceof Error ? error : new Error('no carrier stands'));
    } else if (runner.transport === 'websocket') {
      this.#after(ALONE_MS, () => {
        this.#end(new Error('no carrier stands'));
      });
    }
  }

  #end(error: Error): void {
    for (const runner of this.#runners) if (runner !== this.#winner) runner.abort.abort();
    this.#finish();
    this.#settle?.reject(error);
  }

  #finish(): void {
    this.#over = true;
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #after(ms: number, work: () => void): void {
    this.#timers.push(setTimeout(work, ms));
  }
}

/** Lets events through only while they count: the loser's are nobody's business. */
function whileRacing(events: CarrierEvents, counts: () => boolean): CarrierEvents {
  return {
    frame: (lane, frame) => {
      if (counts()) events.frame(lane, frame);
    },
    laneDown: lane => {
      if (counts()) events.laneDown(lane);
    },
    down: (code, reason) => {
      if (counts()) events.down(code, reason);
    },
  };
}
