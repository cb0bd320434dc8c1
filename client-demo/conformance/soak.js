/**
 * The soak: many clients of all carriers talk in rooms, through wires that lose one packet in a hundred, are reset, cut and turned
 * round, to a server that is killed every 20 seconds. Afterwards every client's log must equal the server's, with everything that was
 * sent in it once, and nobody may have needed help.
 *
 *   node conformance/soak.js [--seconds 600] [--clients 200] [--pace 4000] [--seed 1]
 *
 * `pace`: milliseconds between two messages of one client, on average. Ends with `PASS soak: …` or `FAIL soak: …`.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { launch } from '../e2e/people.js';
import { bundles } from './agent/build.js';
import { LANES } from './driver/lanes.js';
import { World } from './driver/world.js';
import { Chance, percentile } from './driver/figures.js';

const KILL_EVERY_MS = 20_000;
const ROOM_OF = 10;
const WIRES = 6;
const RAIN = { loss: 0.01, delay_ms: 3, jitter_ms: 4 };
/** Longest cut: short of what a client may believe in before it looks for another connection. */
const CUT_MS_MAX = 8_000;
const SETTLED_WITHIN_MS = 180_000;
/** How many of a hundred clients are on which lane; the rest on the first. A page carries few: it is a whole browser. */
const SHARES = {
  'rust/quic': 34,
  'rust/websocket': 20,
  'node/websocket': 24,
  'node/sse': 10,
  'node/poll': 8,
  'chromium/webtransport': 4,
};

const options = parse(process.argv.slice(2));
const chance = new Chance(options.seed);
const counts = { sent: 0, kills: 0, resets: 0, cuts: 0, halves: 0, rebinds: 0 };
const built = await bundles();
const browser = await launch();
const world = await World.begin('rust/quic', [], {
  bundles: built,
  browser: () => browser,
  seed: options.seed,
});
let verdict;
try {
  verdict = await soak();
} catch (error) {
  verdict = { failed: String(error.stack ?? error) };
} finally {
  await world.end();
  await browser.close();
}
process.stdout.write(
  `${verdict.failed === undefined ? 'PASS' : 'FAIL'} soak: ${verdict.failed ?? verdict.passed}\n`,
);
process.exit(verdict.failed === undefined ? 0 : 1);

async function soak() {
  const wires = await Promise.all(Array.from({ length: WIRES }, threeWires));
  const people = await crowd(wires);
  say(`${people.length} clients: ${describe(people)}`);
  await inGroups(people, 10, person => person.ready());
  const rooms = await settle(people);
  say(`${rooms.length} rooms; the weather begins`);
  await every(wires, wire => wire.weather(RAIN));
  const until = performance.now() + options.seconds * 1_000;
  await Promise.all([storm(wires, until), kills(until), ...people.map(person => talk(person, until))]);
  await every(wires, wire => wire.weather());
  say(`the weather is over: ${counts.sent} sent`);
  return judge(rooms, people);
}

async function threeWires(_, i) {
  const { clients, dev } = world.server;
  const seed = options.seed + i;
  return {
    udp: await world.wires.open(clients, seed),
    tcp: await world.wires.open(dev, seed),
    streams: await world.wires.open(clients, seed, { streamsOnly: true }),
  };
}

/** Clients of every lane that there is, spread over the wires. */
async function crowd(wires) {
  const lanes = Object.keys(SHARES).filter(lane => LANES[lane] !== undefined);
  const people = [];
  for (const [n, lane] of lanes.toReversed().entries()) {
    const last = n === lanes.length - 1;
    const number = last
      ? options.clients - people.length
      : Math.round((options.clients * SHARES[lane]) / 100);
    const half = Math.ceil(number / 2);
    for (const size of [half, number - half].filter(Boolean)) {
      const names = Array.from({ length: size }, (_, i) => `user-${people.length + i}`);
      const group = await world.crowd(lane, names, wires[chance.below(wires.length)]);
      people.push(...group.map(person => Object.assign(person, { lane })));
    }
  }
  return people;
}

/** Rooms of ten, of all lanes mixed; everybody is in one. */
async function settle(people) {
  const shuffled = chance.shuffled(people);
  const rooms = [];
  for (let at = 0; at < shuffled.length; at += ROOM_OF) {
    const members = shuffled.slice(at, at + ROOM_OF);
    const conversation = await world.room(...members);
    for (const person of members) person.room = conversation;
    rooms.push({ conversation, members, sent: [] });
  }
  for (const room of rooms) for (const person of room.members) person.sent = room.sent;
  return rooms;
}

async function talk(person, until) {
  for (let n = 0; ; n += 1) {
    await sleep(options.pace * 2 * chance.unit());
    if (performance.now() > until) return;
    const { id } = await person.do('send', { conversation: person.room, text: `${person.name} says ${n}` });
    person.sent.push(id);
    counts.sent += 1;
  }
}

/** One wire after the other has an accident. */
async function storm(wires, until) {
  while (performance.now() < until) {
    await sleep(500 + 1_500 * chance.unit());
    const { udp, tcp, streams } = wires[chance.below(wires.length)];
    const accident = chance.below(4);
    if (accident === 0) {
      counts.resets += 1;
      await Promise.all([tcp.reset(), streams.reset()]);
    } else if (accident === 1) {
      counts.halves += 1;
      await Promise.all([tcp.halfOpen(), streams.halfOpen()]);
    } else if (accident === 2) {
      counts.rebinds += 1;
      await udp.rebind();
    } else {
      counts.cuts += 1;
      await every([{ udp, tcp, streams }], wire => wire.cut());
      await sleep(CUT_MS_MAX * chance.unit());
      await every([{ udp, tcp, streams }], wire => wire.heal());
    }
  }
}

async function kills(until) {
  while (performance.now() + KILL_EVERY_MS < until || counts.kills === 0) {
    await sleep(Math.min(KILL_EVERY_MS, (options.seconds * 1_000) / 2));
    counts.kills += 1;
    await world.server.kill();
    await world.server.restart();
  }
}

/** What must hold when all is quiet again. */
async function judge(rooms, people) {
  const begun = performance.now();
  let messages = 0;
  for (const { conversation, members, sent } of rooms) {
    await everything(conversation, members[0], sent, begun + SETTLED_WITHIN_MS);
    const truth = await world.agree(conversation, ...members);
    const ids = truth.map(([, id]) => id);
    if (new Set(ids).size !== ids.length) return { failed: `a message is stored twice in ${conversation}` };
    if (ids.length !== sent.length)
      return { failed: `${sent.length} sent, ${ids.length} stored in ${conversation}` };
    messages += ids.length;
  }
  const failed = people.filter(person =>
    person.heard.some(({ event, current }) => event === 'state' && current === 'failed'),
  );
  if (failed.length > 0) return { failed: `${failed.length} clients failed for good` };
  const gaps = people.flatMap(away).sort((a, b) => a - b);
  const wait = share => (percentile(gaps, share) / 1_000).toFixed(2);
  return {
    passed:
      `${people.length} clients (${describe(people)}) for ${options.seconds} s: ${messages} messages, each stored once and in every log, ` +
      `0 lost, 0 doubled, 0 out of order, through ${counts.kills} kill -9, ${counts.resets} resets, ${counts.cuts} cuts, ` +
      `${counts.halves} half-open, ${counts.rebinds} changed addresses; ${gaps.length} reconnects, away p50 ${wait(0.5)} s, p99 ${wait(0.99)} s; ` +
      `even after ${Math.round((performance.now() - begun) / 1_000)} s`,
  };
}

/** Waits until the server has everything that was sent. */
async function everything(conversation, reader, sent, deadline) {
  for (;;) {
    const stored = new Set((await world.truth(conversation, reader)).map(([, id]) => id));
    const missing = sent.filter(id => !stored.has(id));
    if (missing.length === 0) return;
    if (performance.now() > deadline)
      throw new Error(`${missing.length} of ${sent.length} messages never arrived`);
    await sleep(500);
  }
}

/** How long the client was without a connection, each time. */
function away({ heard }) {
  const gaps = [];
  let since;
  for (const { event, current, at } of heard) {
    if (event !== 'state') continue;
    if (current === 'connected' && since !== undefined) gaps.push(at - since);
    if (current === 'connected') since = undefined;
    else if (current === 'reconnecting') since ??= at;
  }
  return gaps;
}

function describe(people) {
  const by = new Map();
  for (const { lane } of people) by.set(lane, (by.get(lane) ?? 0) + 1);
  return [...by].map(([lane, number]) => `${number} ${lane}`).join(', ');
}

/** Does it with every single wire. */
async function every(wires, work) {
  await Promise.all(wires.flatMap(({ udp, tcp, streams }) => [udp, tcp, streams]).map(work));
}

async function inGroups(people, size, work) {
  for (let at = 0; at < people.length; at += size) await Promise.all(people.slice(at, at + size).map(work));
}

function say(text) {
  process.stdout.write(`${(performance.now() / 1_000).toFixed(0).padStart(4)} s  ${text}\n`);
}

function parse(words) {
  const number = (name, otherwise) =>
    Number(words.includes(name) ? words[words.indexOf(name) + 1] : otherwise);
  return {
    seconds: number('--seconds', 600),
    clients: number('--clients', 200),
    pace: number('--pace', 4_000),
    seed: number('--seed', 1),
  };
}
