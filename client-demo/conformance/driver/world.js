/** One scenario's world: a server of its own, wires in front of it, and people behind agents. Ends whole, whatever happened. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Server } from '../../e2e/server.js';
import { Agents, dialling, LANES } from './lanes.js';
import { Person } from './person.js';
import { Wires } from './wire.js';

/** Dead connections are noticed within seconds, so that a scenario may wait for it. Any page may connect. */
const FLAGS = [
  'limits.idle_timeout_ms=4000',
  'limits.ping_every_ms=1000',
  'origins.allowed=*',
  'store.free_floor_mib=1',
];
const AGREE_WITHIN_MS = 60_000;

/** The place of one scenario on one lane. */
export class World {
  #agents;
  #people = new Map();
  #key;
  #dir;

  /** `settings` are keys of the server's configuration, as in `limits.typing_ttl_ms=2000`. */
  static async begin(lane, settings, { bundles, browser, seed = 1 }) {
    const world = new World();
    world.lane = { name: lane, ...LANES[lane] };
    world.#agents = new Agents(bundles, browser);
    world.#dir = await mkdtemp(join(tmpdir(), 'duet-conformance-'));
    try {
      world.server = await Server.start([...FLAGS, ...settings].flatMap(setting => ['--set', setting]));
      world.wires = new Wires();
      const { clients, dev } = world.server;
      world.udp = await world.wires.open(clients, seed);
      world.tcp = await world.wires.open(dev, seed);
      world.streams = await world.wires.open(clients, seed, { streamsOnly: true });
      /** The one that the subject's carrier goes through. */
      world.wire = wireOf(world);
      world.#key = await readFile(join(world.server.data, 'dev-tenant.key'), 'utf8');
      return world;
    } catch (error) {
      await world.end();
      throw error;
    }
  }

  /** Ends everything that was begun. */
  async end() {
    await this.#agents.stop();
    await this.wires?.close();
    await this.server?.stop();
    await rm(this.#dir, { recursive: true, force: true });
  }

  /** A token of the demo tenant. */
  mint(user, { role = 'agent', lifeS = 3_600 } = {}) {
    const now = Math.floor(Date.now() / 1_000);
    const part = value => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = { sub: user, name: user, role, tenant: 'demo', iat: now, exp: now + lifeS };
    const head = `${part({ alg: 'HS256', typ: 'JWT', kid: 'demo-1' })}.${part(claims)}`;
    const signature = createHmac('sha256', this.#key).update(head).digest('base64url');
    return `${head}.${signature}`;
  }

  /**
   * A client. Without `direct` it dials through the wires, on the lane's carrier; with it, over raw QUIC straight to the server.
   * `kept` gives it a store that outlives its process.
   */
  async person(
    name,
    { role = 'agent', direct = false, user = name, kept = false, transport, ...options } = {},
  ) {
    const lane = direct ? LANES['rust/quic'] : { ...this.lane, ...(transport ? { transport } : {}) };
    const { clients, dev, certificate } = this.server;
    const places = direct ? { clients, dev, certificate } : addresses(this, certificate);
    const person = new Person(name, undefined, {}, () => ({ token: this.mint(user, { role }) }));
    const agent = await this.#agents.start(lane.host, line => person.take(line));
    const store = lane.host === 'chromium' ? 'the browser' : join(this.#dir, name);
    const whole = { ...dialling(lane, places), ...(kept ? { store } : {}), ...options };
    Object.assign(person, { options: whole });
    person.sit(agent);
    this.#people.set(name, person);
    return person;
  }

  /**
   * Many clients of one agent, dialling through `wires` (`{ udp, tcp }`); of their messages only the log is kept. Not connected yet.
   */
  async crowd(lane, names, wires = this, options = {}) {
    const byName = new Map();
    const agent = await this.#agents.start(LANES[lane].host, line => byName.get(line.client)?.take(line));
    const { certificate } = this.server;
    const places = addresses(wires, certificate);
    return names.map(name => {
      const whole = { ...dialling(LANES[lane], places), quiet: true, ...options };
      const person = new Person(name, agent, whole, () => ({ token: this.mint(name) }));
      byName.set(name, person);
      return person;
    });
  }

  /** The same, and connected. */
  async join(name, options) {
    return (await this.person(name, options)).ready();
  }

  /** The SDK under test and somebody else on another one, connected and subscribed to a group of their own. */
  async two(options = {}) {
    const [subject, other] = await Promise.all([
      this.join('subject', options),
      this.join('other', { direct: true }),
    ]);
    const room = await this.room(subject, other);
    return { subject, other, room };
  }

  /** A group of these people, which the first one creates; all subscribe. */
  async room(...people) {
    const members = people.slice(1).map(({ name }) => name);
    const { conversation } = await people[0].do('create', { kind: 'group', members });
    await Promise.all(people.map(person => person.do('subscribe', { conversation })));
    return conversation;
  }

  /** The server's log of a conversation: `[seq, id]` of every message. */
  async truth(conversation, reader) {
    const all = [];
    for (let after = 0, more = true; more;) {
      const page = await reader.do('history', { conversation, after, limit: 500 });
      for (const { seq, id } of page.entries) if (id) all.push([seq, id]);
      more = page.more;
      after = page.entries.at(-1)?.seq ?? after;
    }
    return all;
  }

  /** Everybody's log equals the server's, with nothing twice and nothing out of place; waits until it does. Returns the log. */
  async agree(conversation, ...people) {
    const deadline = performance.now() + AGREE_WITHIN_MS;
    for (;;) {
      const truth = await this.truth(conversation, people.at(-1));
      const logs = await Promise.all(people.map(person => person.do('log', { conversation })));
      logs.forEach(({ wrong }, i) =>
        assert.equal(wrong, 0, `${people[i].name} was told something twice or out of order`),
      );
      const same = logs.every(({ ids }) => JSON.stringify(ids) === JSON.stringify(truth));
      if (same) return truth;
      if (performance.now() > deadline) {
        logs.forEach(({ ids }, i) => assert.deepEqual(ids, truth, `the log of ${people[i].name}`));
      }
      await sleep(100);
    }
  }

  /** Waits until the server has forgotten the session of `user`, so far as others can see it: long enough offline. */
  async gone(watcher, user) {
    await watcher.do('watch_presence', { users: [user] });
    await watcher.hears('presence.updated', { user, connectivity: 'offline' }, 45_000);
  }

  /** The wire takes everything down that stands: a reset for TCP, and a cut where single packets or requests may break without harm. */
  async drop(person) {
    person.mark();
    if (this.lane.udp || this.lane.requests) await this.wire.cut();
    if (!this.lane.udp) await this.wire.reset();
    await person.hears('state', { current: ['reconnecting', 'connecting'] }, 30_000);
  }
}

function addresses({ udp, tcp, streams }, certificate) {
  return { clients: udp.address, streams: streams.address, dev: tcp.address, certificate };
}

function wireOf({ lane: { udp, host }, ...wires }) {
  if (udp) return wires.udp;
  return host === 'rust' ? wires.streams : wires.tcp;
}
