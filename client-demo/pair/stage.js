/**
 * A replicated pair on one machine, for development: a witness and two nodes on free loopback ports, with one demo tenant.
 *
 * A node that dies is started again on its data after a few seconds, so that it can be killed as often as one likes. One
 * machine is no pair: when it dies, all three do.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort } from './ports.js';
import { CLEAN, Process } from './process.js';

export const DEBUG_BINARY = fileURLToPath(new URL('../../target/debug/duet', import.meta.url));

/** The witness and the nodes, with what an operator sees of them. */
export class Stage {
  #binary;
  #dir;
  #witness;
  nodes = [];

  /** Sets up a new pair in a directory of its own, which `stop` removes, and starts it. */
  static async start({
    binary = DEBUG_BINARY,
    restartAfterMs = 3_000,
    logLevel = 'error',
    tell = () => {},
  } = {}) {
    const stage = new Stage();
    stage.#dir = await mkdtemp(join(tmpdir(), 'duet-pair-'));
    try {
      await stage.#open({ binary, restartAfterMs, logLevel, tell });
    } catch (error) {
      await stage.stop();
      throw error;
    }
    return stage;
  }

  async #open({ binary, restartAfterMs, logLevel, tell }) {
    this.#binary = binary;
    const dir = name => join(this.#dir, name);
    const witness = `127.0.0.1:${await freePort()}`;
    for (const side of ['a', 'b']) {
      const [clients, peer, admin, dev] = [
        await freePort(),
        await freePort(),
        await freePort(),
        await freePort(),
      ];
      this.nodes.push({
        side,
        clients,
        endpoint: `localhost:${clients}`,
        peer: `127.0.0.1:${peer}`,
        admin,
        dev,
      });
    }
    const [a, b] = this.nodes;
    const clients = ['--client-a', a.endpoint, '--client-b', b.endpoint];
    const plan = ['--a', a.peer, '--b', b.peer, ...clients, '--witness', witness];
    await run(binary, ['pair', 'init', '--dir', dir('pair'), ...plan], { env: CLEAN });
    const common = { binary, restartAfterMs, tell };
    const log = ['--log-level', logLevel];
    this.#witness = new Process({
      ...common,
      name: 'the witness',
      arguments: [
        ...['witness', '--allow-same-machine', '--config', join(dir('pair'), 'witness.toml')],
        ...['--listen', witness, '--data-dir', dir('witness'), ...log],
      ],
      readyFile: dir('witness.json'),
    });
    // One key for the demo tenant, so that a token of one node is good at the other.
    const tenantKey = randomBytes(32).toString('hex');
    for (const node of this.nodes) {
      await mkdir(dir(node.side), { mode: 0o700 });
      await writeFile(join(dir(node.side), 'dev-tenant.key'), tenantKey, { mode: 0o600 });
      node.process = new Process({
        ...common,
        name: `node ${node.side}`,
        arguments: [
          ...[
            'serve',
            '--dev',
            '--config',
            join(dir('pair'), `${node.side}.toml`),
            '--node',
            `duet-${node.side}`,
          ],
          ...['--data-dir', dir(node.side), '--set', `pair.listen=${node.peer}`],
          ...['--listen', `127.0.0.1:${node.clients},[::1]:${node.clients}`],
          ...['--admin-listen', `127.0.0.1:${node.admin}`, '--dev-listen', `127.0.0.1:${node.dev}`, ...log],
        ],
        readyFile: dir(`${node.side}.json`),
      });
    }
    await Promise.all([this.#witness.start(), ...this.nodes.map(node => node.process.start())]);
  }

  /** What each node says of itself at the moment; `report` is `undefined` for one that does not answer. */
  async status() {
    return Promise.all(
      this.nodes.map(async ({ side, admin, process: { isUp } }) => {
        const report = isUp
          ? await json(`http://127.0.0.1:${admin}/api/v1/pair`).catch(() => undefined)
          : undefined;
        return { side, up: isUp, report };
      }),
    );
  }

  /** The nodes, the one that serves first. */
  async nodesByRank() {
    const status = await this.status();
    const serves = side => status.some(each => each.side === side && each.report?.serving === true);
    return [...this.nodes].sort((left, right) => Number(serves(right.side)) - Number(serves(left.side)));
  }

  /**
   * Kills the primary (SIGKILL) and says which node it was. Refuses, with a sentence as the error's message, while the
   * other node could not take over.
   */
  async killPrimary() {
    const status = await this.status();
    const primary = status.find(({ report }) => report?.role === 'primary' && report.serving);
    if (primary === undefined) throw new Refused('Nobody is primary at the moment; try again in a second.');
    const inSync = status.every(({ report }) => report?.in_sync === true);
    if (!inSync) throw new Refused('The other node is not in sync yet; try again in a moment.');
    await this.nodes.find(({ side }) => side === primary.side).process.kill();
    return primary.side;
  }

  /** An operator's `duet pair <words>` with the admin listeners of `sides`; rejects when its exit status is not 0. */
  async operate(words, sides = ['a', 'b']) {
    const nodes = this.nodes.filter(({ side }) => sides.includes(side));
    const admins = nodes.flatMap(({ admin }) => ['--admin', `127.0.0.1:${admin}`]);
    const { stdout } = await run(this.#binary, ['pair', ...words, ...admins], { env: CLEAN });
    return stdout;
  }

  /** Stops a node gracefully and starts it again, as an upgrade does. */
  async restart(side) {
    const node = this.nodes.find(each => each.side === side).process;
    await node.stop();
    await node.start();
  }

  /** Ends everything that was started, and removes its data. */
  async stop() {
    const all = [this.#witness, ...this.nodes.map(({ process: node }) => node)];
    await Promise.all(all.map(each => each?.stop()));
    await rm(this.#dir, { recursive: true, force: true });
  }
}

/** What was asked cannot be done now. */
export class Refused extends Error {}

/** The JSON behind an address of this machine. */
export async function json(address) {
  const answer = await fetch(address, { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
  if (!answer.ok) throw new Error(`${address} answers ${answer.status}`);
  return answer.json();
}

const run = promisify(execFile);
const ANSWER_WITHIN_MS = 2_000;
