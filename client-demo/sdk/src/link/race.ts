/**
 * Which carrier: WebTransport first, WebSocket half a second behind, the first that stands wins and the other is given up.
 *
 * A WebTransport that failed is not tried for ten minutes (networks that block UDP make it hang rather than fail), then probed
 * again. WebKit uses WebSocket unless told otherwise, because its WebTransport stalls (see docs of the protocol's carriers).
 * When WebTransport fails at once, WebSocket does not wait for its turn.
 */
import type { Carrier, CarrierEvents, Dial } from './carrier';

/** How far WebSocket starts behind, milliseconds. */
const HEAD_START_MS = 500;
/** How long WebTransport may take when WebSocket has failed: more likely nobody is there than that only UDP passes. */
const ALONE_MS = 6_000;
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
  return async (address, events, signal) => {
    const { mode, memory } = options;
    const failedAt = memory.read();
    const failedLately = failedAt !== undefined && options.wallClock() - failedAt < REMEMBER_MS;
    const possible = address.webTransport !== undefined && mode !== 'websocket';
    const socket = address.webSocket !== undefined && mode !== 'webtransport';
    const transport = possible && (!socket || mode === 'both' || (options.trusted && !failedLately));
    if (!transport) return options.webSocket(address, events, signal);
    if (!socket) return options.webTransport(address, events, signal);
    const carrier = await headStart(options, address, events, signal);
    const won = carrier.info.transport === 'webtransport';
    memory.write(won ? undefined : options.wallClock());
    return carrier;
  };
}

/** Runs both; the one that stands first silences and ends the other. */
function headStart(options: RaceOptions, ...[address, events, signal]: Parameters<Dial>): Promise<Carrier> {
  return new Promise((resolve, reject) => {
    let [winner, losses]: [Runner | undefined, number] = [undefined, 0];
    const runners: Runner[] = [];
    let alone: ReturnType<typeof setTimeout> | undefined;
    const giveUp = (): void => {
      clearTimeout(turn);
      clearTimeout(alone);
      for (const runner of runners) if (runner !== winner) runner.abort.abort();
      reject(new Error('no carrier stands'));
    };
    const lost = (error: unknown): void => {
      losses += 1;
      if (losses === 2) {
        clearTimeout(alone);
        reject(error instanceof Error ? error : new Error('no carrier stands'));
        return;
      }
      if (runners.length === 1) start(options.webSocket);
      else alone = setTimeout(giveUp, ALONE_MS);
    };
    const won = (runner: Runner, carrier: Carrier): void => {
      if (winner !== undefined || signal.aborted) {
        void carrier.close(0, 'another carrier was faster', true);
        return;
      }
      winner = runner;
      clearTimeout(turn);
      clearTimeout(alone);
      for (const other of runners) if (other !== runner) other.abort.abort();
      resolve(carrier);
    };
    const start = (dial: Dial): void => {
      if (signal.aborted || runners.some(runner => runner.dial === dial)) return;
      const runner: Runner = { dial, abort: new AbortController() };
      runners.push(runner);
      const only = whileRacing(events, () => winner === undefined || winner === runner);
      dial(address, only, runner.abort.signal).then(
        carrier => {
          won(runner, carrier);
        },
        (error: unknown) => {
          lost(error);
        },
      );
    };
    const turn = setTimeout(() => {
      start(options.webSocket);
    }, HEAD_START_MS);
    signal.addEventListener('abort', giveUp);
    start(options.webTransport);
  });
}

interface Runner {
  readonly dial: Dial;
  readonly abort: AbortController;
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
