/**
 * A machine on a test bench: virtual time, a scripted network to a fake server, storage that survives a reload. Everything that a run
 * depends on is in it, so a run with the same seed is the same run.
 */
import type { ClientEvents, Transport } from '../src/api';
import type { DuetError } from '../src/errors';
import type {
  Address,
  Effect,
  Emission,
  OutboxEntry,
  SavedPosition,
  SavedSession,
} from '../src/machine/effect';
import { Endpoints, resolve } from '../src/machine/endpoints';
import { Machine } from '../src/machine/machine';
import type { Frame } from '../src/protocol/frame';
import { CONVERSATION, FakeServer, tokenFor } from './fake-server';

const LATENCY_MS = 10;
/** Hosts that the client may follow to. */
const HOSTS: readonly string[] = ['b.example', 'c.example'];

/**
 * What a node does: it reigns (in an earlier epoch: it believes so), another one does, nobody listens, what is sent to it
 * vanishes, or its carrier stands and what is sent there waits.
 */
export type Node =
  'primary' | { readonly epoch: number } | { readonly names?: string } | 'gone' | 'swallowed' | 'mute';

/** A small generator of random numbers (mulberry32): the same seed, the same numbers. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

export class Rig {
  now = 1_000;
  machine: Machine;
  readonly server: FakeServer;
  readonly unit: () => number;
  readonly events: Emission[] = [];
  readonly dials: { at: number; address: Address; link: number; above: Transport | undefined }[] = [];
  readonly hangUps: { at: number; link: number }[] = [];
  readonly tokenReasons: string[] = [];
  readonly answers = new Map<number, { value?: unknown; error?: DuetError }>();
  /** Whether a dial succeeds. */
  reachable = true;
  /** Which carrier wins a dial, and whether a dial for a better one stands. */
  transport: Transport = 'webtransport';
  betterStands = false;
  /** What single nodes do with who comes, by host; the others reign. */
  readonly nodes = new Map<string, Node>();
  /** Whether frames pass, in both directions. */
  flowing = true;
  /** So many frames of the server pass, then none until it is set anew. */
  frames = Infinity;
  /** Links whose network path is dead, without a word: nothing passes. */
  readonly stalled = new Set<number>();
  /** What `getToken` brings: a token, an error's message, or `unauthorized`. */
  token: () => string | Error = () => tokenFor('ann');
  terminalToken = false;
  readonly stored = new Map<string, OutboxEntry>();
  saved: SavedSession | undefined;
  readonly positions = new Map<string, SavedPosition>();
  readonly #endpoints: readonly string[];
  readonly #up = new Set<number>();
  readonly #schedule: { at: number; run: () => void }[] = [];
  #calls = 0;
  #generation = 0;

  constructor(options: { seed?: number; endpoints?: readonly string[]; saved?: SavedSession } = {}) {
    this.unit = random(options.seed ?? 1);
    this.#endpoints = options.endpoints ?? ['https://a.example:4433'];
    this.saved = options.saved;
    this.server = new FakeServer(() => this.now + 1_763_000_000_000);
    this.server.ended = link => {
      this.#later(() => {
        if (!this.#up.delete(link) || this.stalled.has(link)) return;
        this.do(() => {
          this.machine.connection.linkDown(this.now, link, 0, '');
        });
      });
    };
    this.machine = this.#boot();
  }

  /** The link in use. */
  get link(): number {
    return this.machine.connection.live?.link ?? 0;
  }

  /** Connects and waits until that is done. */
  connected(): this {
    this.do(() => {
      this.machine.connection.connect(this.now);
    });
    this.advance(1_500);
    return this;
  }

  /** Connects and shows the conversation. */
  subscribed(conversation = CONVERSATION): this {
    this.connected();
    this.call(call => {
      this.machine.conversations.feed(conversation).subscribe(this.now, {}, call);
    });
    this.advance(500);
    return this;
  }

  send(text: string, conversation = CONVERSATION): string {
    let id = '';
    this.do(() => {
      id = this.machine.conversations.send(this.now, conversation, text, {}).id;
    });
    return id;
  }

  call(work: (call: number) => void): number {
    const call = ++this.#calls;
    this.do(() => {
      work(call);
    });
    return call;
  }

  do(work: () => void): void {
    work();
    this.#drain();
  }

  /** The network breaks; nobody is told why. */
  drop(): void {
    for (const link of [...this.#up]) {
      this.#up.delete(link);
      this.server.gone(link);
      this.do(() => {
        this.machine.connection.linkDown(this.now, link, 0, 'broken');
      });
    }
  }

  /** The page is loaded anew: only what was stored is left. */
  reload(): void {
    for (const link of [...this.#up]) {
      this.#up.delete(link);
      this.server.gone(link);
    }
    this.#generation += 1;
    this.machine = this.#boot();
    this.do(() => {
      this.machine.conversations.restore(this.now, [...this.stored.values()]);
    });
  }

  /** Lets `ms` pass, with everything that happens in it in order. */
  advance(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const deadline = this.machine.deadline(this.now) ?? Infinity;
      const next = this.#schedule[0]?.at ?? Infinity;
      const at = Math.max(this.now, Math.min(deadline, next));
      if (at > end) break;
      this.now = at;
      if (next <= deadline) this.#schedule.shift()?.run();
      else {
        this.do(() => {
          this.machine.tick(this.now);
        });
      }
    }
    this.now = end;
  }

  get states(): string[] {
    return this.of('state').map(change => change.current);
  }

  of<K extends keyof ClientEvents>(name: K): ClientEvents[K][] {
    return this.events.filter(event => event.name === name).map(event => event.data as ClientEvents[K]);
  }

  /** The shown texts of the conversation. */
  texts(conversation = CONVERSATION): string[] {
    const { entries } = this.machine.conversations.feed(conversation).timeline;
    return entries.flatMap(entry => (entry.kind === 'message' ? entry.text : []));
  }

  statuses(id: string): string[] {
    return this.of('message.status')
      .filter(event => event.id === id)
      .map(event => event.status);
  }

  #boot(): Machine {
    return new Machine(
      {
        endpoints: new Endpoints(this.#endpoints.map(resolve), HOSTS, this.saved?.peers),
        device: 'bench',
        sdk: 'bench/1',
        backlog: 50,
        outboxMessagesMax: 50,
        outboxBytesMax: 100_000,
        durability: 'accepted',
        session: this.saved,
        positions: [...this.positions.values()],
        clockOffset: 1_763_000_000_000,
      },
      {
        unit: this.unit,
        bytes: count => Uint8Array.from({ length: count }, () => Math.floor(this.unit() * 256)),
      },
    );
  }

  #later(run: () => void, ms = LATENCY_MS): void {
    const entry = { at: this.now + ms, run };
    const before = this.#schedule.findLastIndex(({ at }) => at <= entry.at);
    this.#schedule.splice(before + 1, 0, entry);
  }

  #drain(): void {
    for (let effect = this.machine.poll(); effect !== undefined; effect = this.machine.poll()) {
      this.#perform(effect);
    }
  }

  #perform(effect: Effect): void {
    switch (effect.type) {
      case 'dial':
        this.#dial(effect.link, effect.address, effect.above);
        break;
      case 'hangUp':
        this.#up.delete(effect.link);
        this.server.gone(effect.link);
        this.hangUps.push({ at: this.now, link: effect.link });
        break;
      case 'frame':
      case 'signal': {
        const { link, inner } = effect;
        const lane = effect.type === 'frame' ? effect.lane : 0;
        this.#later(() => {
          this.#arrive(link, lane, inner);
        });
        break;
      }
      case 'getToken':
        this.tokenReasons.push(effect.reason);
        this.#getToken();
        break;
      case 'saveSession':
        this.saved = effect.session;
        break;
      case 'savePosition':
        this.positions.set(effect.position.conversation, effect.position);
        break;
      case 'storeMessage':
        this.stored.set(effect.entry.id, effect.entry);
        break;
      case 'dropMessage':
        this.stored.delete(effect.id);
        break;
      case 'emit':
        this.events.push(effect.event);
        break;
      case 'settle':
        this.answers.set(effect.call, { value: effect.value });
        break;
      case 'refuse':
        this.answers.set(effect.call, { error: effect.error });
        break;
      default:
        break;
    }
  }

  /** What the node at the other end of a link does. */
  #node(link: number): Node {
    const { address } = this.dials.findLast(dial => dial.link === link) ?? {};
    return (address && this.nodes.get(new URL(address.url).hostname)) ?? 'primary';
  }

  #arrive(link: number, lane: number, inner: Uint8Array): void {
    if (!this.#up.has(link) || !this.flowing || this.stalled.has(link)) return;
    const node = this.#node(link);
    if (node === 'primary') this.server.hear(link, lane, inner);
    else if (node === 'mute') {
      this.#later(() => {
        this.#arrive(link, lane, inner);
      });
    } else if (typeof node === 'object' && 'epoch' in node) {
      const { epoch } = this.server;
      this.server.epoch = node.epoch;
      this.server.hear(link, lane, inner);
      this.server.epoch = epoch;
    } else if (typeof node === 'object') {
      const body = { code: 3401, reason: '', retryAfterMs: 0, endpoint: node.names };
      this.server.tell(link, { type: 'Closing', body });
    }
  }

  #dial(link: number, address: Address, above: Transport | undefined): void {
    this.dials.push({ at: this.now, address, link, above });
    const node = this.#node(link);
    if (node === 'swallowed') return;
    const generation = this.#generation;
    this.#later(() => {
      if (generation !== this.#generation) return;
      if (!this.reachable || node === 'gone' || (above !== undefined && !this.betterStands)) {
        this.do(() => {
          this.machine.connection.linkDown(this.now, link, 3, 'unreachable');
        });
        return;
      }
      this.#up.add(link);
      this.server.connected(link, (lane, frame) => {
        this.#carry(generation, link, lane, frame);
      });
      this.do(() => {
        const transport = above === undefined ? this.transport : 'webtransport';
        const better = transport !== 'webtransport';
        this.machine.connection.linkUp(this.now, link, { transport, datagrams: true, better });
      });
    });
  }

  #carry(generation: number, link: number, lane: number, frame: Frame): void {
    this.#later(() => {
      if (generation !== this.#generation || !this.#up.has(link)) return;
      if (!this.flowing || this.stalled.has(link) || this.frames-- <= 0) return;
      this.do(() => {
        this.machine.frame(this.now, link, lane, frame);
      });
    });
  }

  #getToken(): void {
    const generation = this.#generation;
    const token = this.token();
    this.#later(() => {
      if (generation !== this.#generation) return;
      this.do(() => {
        if (typeof token === 'string') this.machine.connection.token(this.now, token);
        else this.machine.connection.tokenFailed(this.now, token.message, this.terminalToken);
      });
    });
  }
}
