/**
 * Which carrier: the best first, each next one a little behind, the first that stands wins and the others are given up.
 *
 * WebTransport begins, WebSocket is half a second behind it, server-sent events a second and a half behind that; long polling
 * is what server-sent events fall back to by themselves, and has a turn of its own only where they are not to be used. A carrier that
 * fails at once does not keep the next one waiting, and is tried the next time: it may only have met a server that was starting.
 * One that hung while a lesser one stood is what networks do that swallow UDP, or upgrades: it goes to the end of the line for
 * ten minutes. A client that won with a lesser carrier is told so (`better`), and probes back up by dialling with `above`.
 */
import type { Transport } from '../api';
import type { Address } from '../machine/effect';
import type { Carrier, CarrierEvents, Dial } from './carrier';

/** Every carrier, best first. */
export const TRANSPORTS = [
  'webtransport',
  'websocket',
  'sse',
  'poll',
] as const satisfies readonly Transport[];

/** How far each starts behind the one before it, milliseconds. */
const BEHIND_MS: Readonly<Record<Transport, number>> = {
  webtransport: 500,
  websocket: 500,
  sse: 1_500,
  poll: 1_500,
};
/** How long the last one may take when all others have failed: more likely nobody is there than that only it passes. */
const ALONE_MS = 6_000;
/** How long a better carrier may come behind a lesser one that has won without counting as failed, milliseconds. */
const LATE_MS = 3_000;

/** Which carriers hung lately, on this network and at this host; survives a reload. */
export interface CarrierMemory {
  failedLately(address: Address, transport: Transport): boolean;
  remember(address: Address, transport: Transport, failed: boolean): void;
}

/** How the carriers are chosen. */
export interface RaceOptions {
  readonly dials: Readonly<Record<Transport, Dial>>;
  /** Those that may be used, best first. */
  readonly transports: readonly Transport[];
  readonly memory: CarrierMemory;
}

/** Makes one dialler of several. */
export function race(options: RaceOptions): Dial {
  return async (address, events, signal, above) => {
    const possible = options.transports.filter(transport => reaches(address, transport));
    const wanted = above === undefined ? possible : possible.slice(0, betterThan(possible, above));
    // Server-sent events become long polling by themselves: where both may be used, one dial is for both.
    const runners = wanted.filter(transport => transport !== 'poll' || !wanted.includes('sse'));
    const failed = (transport: Transport): boolean => {
      return above === undefined && options.memory.failedLately(address, transport);
    };
    const line = runners.toSorted((a, b) => Number(failed(a)) - Number(failed(b)));
    const carrier = await new Race(options, { address, events, signal, line, probing: above !== undefined })
      .result;
    carrier.info.better = possible.slice(0, betterThan(possible, carrier.info.transport)).length > 0;
    return carrier;
  };
}

/** How many of `possible` are better than `transport`. Nobody looks for event streams where they were held back. */
function betterThan(possible: readonly Transport[], transport: Transport): number {
  const streams = possible.indexOf('sse');
  const index = possible.indexOf(transport);
  return transport === 'poll' && streams >= 0 ? streams : Math.max(0, index);
}

function reaches(address: Address, transport: Transport): boolean {
  if (transport === 'webtransport') return address.webTransport !== undefined;
  return (transport === 'websocket' ? address.webSocket : address.http) !== undefined;
}

/** What is raced. */
interface Course {
  readonly address: Address;
  readonly events: CarrierEvents;
  readonly signal: AbortSignal;
  /** In the order of starting. */
  readonly line: readonly Transport[];
  /** Something that works is in use. */
  readonly probing: boolean;
}

/** One dialler of the line. */
interface Runner {
  readonly transport: Transport;
  readonly abort: AbortController;
  state: 'running' | 'stands' | 'failed';
}

/** Runs them; the one that stands first silences the others. */
class Race {
  readonly result: Promise<Carrier>;
  readonly #options: RaceOptions;
  readonly #course: Course;
  readonly #runners: Runner[] = [];
  readonly #timers: ReturnType<typeof setTimeout>[] = [];
  #next: ReturnType<typeof setTimeout> | undefined;
  #winner: Runner | undefined;
  #over = false;
  #settle: { resolve: (carrier: Carrier) => void; reject: (error: Error) => void } | undefined;

  constructor(options: RaceOptions, course: Course) {
    this.#options = options;
    this.#course = course;
    this.result = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    course.signal.addEventListener('abort', () => {
      this.#abandon();
    });
    if (course.signal.aborted) this.#abandon();
    else if (course.line.length === 0) this.#end(new Error('no carrier may be used here'));
    else this.#start();
  }

  /** The next one of the line begins; the one behind it has its turn after a while. */
  #start(): void {
    clearTimeout(this.#next);
    const transport = this.#course.line[this.#runners.length];
    if (this.#over || transport === undefined) return;
    const runner: Runner = { transport, abort: new AbortController(), state: 'running' };
    this.#runners.push(runner);
    const { address, events } = this.#course;
    const counting = whileRacing(events, () => this.#winner === undefined || this.#winner === runner);
    this.#options.dials[transport](address, counting, runner.abort.signal).then(
      carrier => {
        this.#stands(runner, carrier);
      },
      (error: unknown) => {
        this.#failed(runner, error);
      },
    );
    const following = this.#course.line[this.#runners.length];
    if (following === undefined) return;
    this.#next = setTimeout(() => {
      this.#start();
    }, BEHIND_MS[following]);
    this.#timers.push(this.#next);
  }

  #stands(runner: Runner, carrier: Carrier): void {
    runner.state = 'stands';
    // One that comes second has not failed: it was only slow.
    this.#options.memory.remember(this.#course.address, runner.transport, false);
    if (this.#over) {
      void carrier.close(0, 'another carrier was faster', true);
      return;
    }
    this.#winner = runner;
    this.#finish();
    for (const other of this.#runners) {
      if (other.state !== 'running') continue;
      if (rank(other) > rank(runner)) other.abort.abort();
      else
        setTimeout(() => {
          this.#judge(other);
        }, LATE_MS);
    }
    this.#settle?.resolve(carrier);
  }

  /** A lesser one passes and this one still hangs: the network does not let it pass. */
  #judge(runner: Runner): void {
    if (runner.state !== 'running') return;
    this.#options.memory.remember(this.#course.address, runner.transport, true);
    runner.abort.abort();
  }

  #failed(runner: Runner, error: unknown): void {
    runner.state = 'failed';
    if (this.#over) return;
    this.#start();
    const running = this.#runners.filter(({ state }) => state === 'running');
    if (running.length === 0) this.#end(error instanceof Error ? error : new Error('no carrier stands'));
    else if (running.length === 1 && this.#runners.length === this.#course.line.length) {
      this.#timers.push(
        setTimeout(() => {
          this.#end(new Error('no carrier stands'));
        }, ALONE_MS),
      );
    }
  }

  /** Nobody waits any more. A probe for something better that hung until then is remembered like one that was beaten. */
  #abandon(): void {
    if (this.#over) return;
    if (this.#course.probing) for (const runner of this.#runners) this.#judge(runner);
    this.#end(new Error('not wanted any more'));
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
}

function rank({ transport }: Runner): number {
  return TRANSPORTS.indexOf(transport);
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
