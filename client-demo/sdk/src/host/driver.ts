/**
 * Runs a machine in a browser: carries out its effects, feeds it what the network and the page tell, and wakes it at its
 * deadlines. The only place where the clock, timers, randomness, storage and carriers meet.
 */
import type { ClientEvents, ClientOptions, Endpoint } from '../api';
import type { Emitter } from '../emitter';
import { DuetError } from '../errors';
import type { Effect, SavedPosition } from '../machine/effect';
import { Endpoints, resolve } from '../machine/endpoints';
import { Machine } from '../machine/machine';
import type { CallAsked } from '../protocol/call';
import { randomUuid } from '../protocol/ids';
import { Code } from '../protocol/reject';
import type { Position } from '../values';
import { Belongings } from './belongings';
import { type LinkEvents, Links } from './links';
import { watchPage } from './page';
import type { Parts } from './parts';
import { type Area, loadPositions, loadSession, POSITIONS_MAX, savePositions, saveSession } from './storage';

/** Name and version, for people who read logs. */
const SDK = 'duet-js/0.1.0';
const POSITIONS_EVERY_MS = 250;
/** Most own messages that are followed; the oldest stop being kept up to date. */
const FOLLOWERS_MAX = 1_000;
/** A timer cannot be set further ahead. */
const TIMER_MAX_MS = 2_147_000_000;

interface Call {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: DuetError) => void;
}

/** The machine's hands. */
export class Driver {
  readonly machine: Machine;
  /** Who answers calls here, if anybody. */
  calls: { asked(question: CallAsked): void; ended(call: number): void } | undefined;
  readonly #options: ClientOptions;
  readonly #parts: Parts;
  readonly #emitter: Emitter<ClientEvents>;
  readonly #links: Links;
  readonly #calls = new Map<number, Call>();
  readonly #followers = new Map<string, (event: ClientEvents['message.status']) => void>();
  readonly #belongings: Belongings;
  readonly #positions: Map<string, SavedPosition>;
  /** Resolves when it is known whether this tab may go on with the stored session. */
  #claimed: Promise<void> | undefined;
  #lastCall = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #positionsTimer: ReturnType<typeof setTimeout> | undefined;
  #unwatch: (() => void) | undefined;
  #lastWall = 0;
  #skew = 0;
  #running = false;

  constructor(
    endpoints: readonly Endpoint[],
    options: ClientOptions,
    emitter: Emitter<ClientEvents>,
    parts: Parts,
  ) {
    this.#options = options;
    this.#parts = parts;
    this.#emitter = emitter;
    this.#links = new Links(parts.dial, this.#linkEvents());
    const { tab, device } = parts.areas;
    const saved = loadPositions(tab);
    const session = loadSession(tab);
    this.#positions = new Map(saved.map(position => [position.conversation, position]));
    this.machine = new Machine(
      {
        endpoints: new Endpoints(endpoints.map(resolve), options.hosts, session?.peers),
        device: lasting(device, 'device', () => randomUuid(parts.entropy.bytes(16))),
        sdk: SDK,
        backlog: options.backlog ?? 50,
        outboxMessagesMax: options.outboxMessagesMax ?? 500,
        outboxBytesMax: options.outboxBytesMax ?? 4 * 1024 * 1024,
        durability: options.durability ?? 'accepted',
        session,
        positions: saved,
        clockOffset: Number(device.get('clock') ?? 0) || 0,
      },
      parts.entropy,
    );
    this.#belongings = new Belongings(parts, {
      disown: () => {
        this.run(machine => {
          machine.connection.disown();
        });
      },
      restore: entries => {
        this.run((machine, now) => {
          machine.conversations.restore(now, entries);
        });
      },
    });
    this.#claimed = this.#belongings.claim();
  }

  /** Milliseconds that never go back: the wall clock with its backward jumps taken out. */
  now(): number {
    const wall = this.#parts.wallClock();
    if (wall < this.#lastWall) this.#skew += this.#lastWall - wall;
    this.#lastWall = wall;
    return wall + this.#skew;
  }

  /** Lets the machine do something, then does what it asks for. Returns what `work` returns. */
  run<T>(work: (machine: Machine, now: number) => T): T {
    try {
      return work(this.machine, this.now());
    } finally {
      this.#drain();
    }
  }

  /** The same for something that is answered later. */
  call<T>(work: (machine: Machine, now: number, call: number) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#lastCall += 1;
      const call = this.#lastCall;
      this.#calls.set(call, {
        resolve: value => {
          resolve(value as T);
        },
        reject,
      });
      this.run((machine, now) => {
        work(machine, now, call);
      });
    });
  }

  /** Hears of every change of one's own message `id` until told to stop. */
  follow(id: string, follower: ((event: ClientEvents['message.status']) => void) | undefined): void {
    this.#followers.delete(id);
    if (follower !== undefined) this.#followers.set(id, follower);
    if (this.#followers.size > FOLLOWERS_MAX) dropOldest(this.#followers);
  }

  /** Connects, as soon as it is known which tab this is. */
  async connect(): Promise<void> {
    this.#unwatch ??= this.#watch();
    this.#belongings.watch();
    this.#claimed ??= this.#belongings.claim();
    await this.#claimed;
    await this.call<undefined>((machine, now, call) => {
      machine.connection.connect(now, call);
    });
  }

  /** Ends the session; resolves when what had to be said has had a moment to leave. */
  async close(): Promise<void> {
    this.#unwatch?.();
    this.#unwatch = undefined;
    this.run(machine => {
      machine.close();
    });
    this.#writePositions();
    await this.#links.settled();
    this.#claimed = undefined;
    this.#belongings.stop();
  }

  get tellsState(): boolean {
    return this.#options.getState !== undefined;
  }

  /** Where the application itself stands in a conversation, if it can tell. */
  async stateOf(conversation: string): Promise<Position | undefined> {
    const { getState } = this.#options;
    if (getState === undefined) return undefined;
    try {
      return await getState({ conversation });
    } catch (error) {
      const why = error instanceof Error ? error.message : 'no reason was given';
      throw new DuetError(Code.UNAVAILABLE, `getState failed: ${why}`);
    }
  }

  /** A value of this installation under this user. */
  get deviceArea(): Area {
    return this.#parts.areas.device;
  }

  randomId(): string {
    return randomUuid(this.#parts.entropy.bytes(16));
  }

  #drain(): void {
    if (this.#running) return;
    this.#running = true;
    try {
      for (let effect = this.machine.poll(); effect !== undefined; effect = this.machine.poll()) {
        this.#perform(effect);
      }
    } finally {
      this.#running = false;
    }
    this.#arm();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const now = this.now();
    const deadline = this.machine.deadline(now);
    if (deadline === undefined) return;
    this.#timer = setTimeout(
      () => {
        this.run((machine, at) => {
          machine.tick(at);
        });
      },
      Math.min(Math.max(0, deadline - now), TIMER_MAX_MS),
    );
  }

  #perform(effect: Effect): void {
    const { store, areas: places } = this.#parts;
    switch (effect.type) {
      case 'dial':
        void this.#links.dial(effect);
        break;
      case 'hangUp':
        this.#links.hangUp(effect.link, effect.code, effect.reason);
        break;
      case 'openLane':
        this.#links.carrier(effect.link)?.openLane(effect.lane, effect.bulk, effect.streamsMax);
        break;
      case 'finishLane':
        this.#links.carrier(effect.link)?.finishLane(effect.lane);
        break;
      case 'frame':
        this.#links.carrier(effect.link)?.send(effect.lane, effect.inner);
        break;
      case 'signal':
        this.#links.carrier(effect.link)?.signal(effect.inner, effect.datagram);
        break;
      case 'getToken':
        void this.#getToken(effect.reason);
        break;
      case 'saveSession':
        saveSession(places.tab, effect.session);
        places.device.set('clock', String(this.machine.connection.clock.offset));
        break;
      case 'savePosition':
        this.#positions.delete(effect.position.conversation);
        this.#positions.set(effect.position.conversation, effect.position);
        if (this.#positions.size > POSITIONS_MAX) dropOldest(this.#positions);
        this.#positionsTimer ??= setTimeout(() => {
          this.#writePositions();
        }, POSITIONS_EVERY_MS);
        break;
      case 'asked':
        this.calls?.asked(effect.question);
        break;
      case 'callEnded':
        this.calls?.ended(effect.call);
        break;
      case 'storeMessage':
        store.put({ tab: this.#belongings.tab, entry: effect.entry });
        break;
      case 'dropMessage':
        store.remove(effect.id);
        break;
      case 'emit':
        if (effect.event.name === 'message.status') {
          this.#followers.get(effect.event.data.id)?.(effect.event.data);
        }
        this.#emitter.emit(effect.event.name, effect.event.data);
        if (effect.event.name === 'state' && effect.event.data.current === 'connected')
          void this.#belongings.adopt();
        break;
      case 'settle':
        this.#calls.get(effect.call)?.resolve(effect.value);
        this.#calls.delete(effect.call);
        break;
      case 'refuse':
        this.#calls.get(effect.call)?.reject(effect.error);
        this.#calls.delete(effect.call);
        break;
    }
  }

  #linkEvents(): LinkEvents {
    return {
      up: (link, carrier) => {
        this.run((machine, now) => {
          machine.connection.linkUp(now, link, carrier);
        });
      },
      down: (link, code, reason) => {
        this.run((machine, now) => {
          machine.connection.linkDown(now, link, code, reason);
        });
      },
      frame: (link, lane, frame) => {
        this.run((machine, now) => {
          machine.frame(now, link, lane, frame);
        });
      },
      laneDown: (link, lane) => {
        this.run((machine, now) => {
          machine.laneDown(now, link, lane);
        });
      },
    };
  }

  async #getToken(reason: Extract<Effect, { type: 'getToken' }>['reason']): Promise<void> {
    try {
      const token = await this.#options.getToken({ reason });
      this.run((machine, now) => {
        machine.connection.token(now, token);
      });
    } catch (error) {
      const terminal = error instanceof Error && error.name === 'UnauthorizedError';
      const message = error instanceof Error ? error.message : 'getToken failed';
      this.run((machine, now) => {
        machine.connection.tokenFailed(now, message, terminal);
      });
    }
  }

  #watch(): () => void {
    return watchPage({
      moved: () => {
        this.run((machine, now) => {
          machine.connection.wake(now, true);
        });
      },
      shaken: () => {
        this.run((machine, now) => {
          machine.connection.wake(now, false);
        });
      },
      online: online => {
        this.run(machine => {
          machine.connection.online(online);
        });
      },
      hidden: hidden => {
        this.run((machine, now) => {
          machine.connection.hidden(now, hidden);
        });
      },
      idle: idle => {
        this.run((machine, now) => {
          machine.idle(now, idle);
        });
      },
      leaving: () => {
        this.#writePositions();
        this.#links.dropAll();
      },
      back: () => {
        this.run((machine, now) => {
          machine.connection.wake(now, false);
        });
      },
    });
  }

  #writePositions(): void {
    clearTimeout(this.#positionsTimer);
    this.#positionsTimer = undefined;
    savePositions(this.#parts.areas.tab, [...this.#positions.values()]);
  }
}

function dropOldest(map: Map<string, unknown>): void {
  for (const key of map.keys()) {
    map.delete(key);
    return;
  }
}

/** The value under `key`, made if there is none. */
function lasting(area: Area, key: string, make: () => string): string {
  const value = area.get(key) ?? make();
  area.set(key, value);
  return value;
}
