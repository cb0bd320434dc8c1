/** A real `duet serve --dev` on free ports with a data directory of its own; `SERVER_BINARY` names another binary. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CLEAN } from '../pair/process.js';
import { until } from './until.js';

const BINARY =
  process.env.SERVER_BINARY ?? fileURLToPath(new URL('../../target/debug/duet', import.meta.url));
const READY_WITHIN_MS = 20_000;

/** One server; it may be killed and started again on the same data and ports. */
export class Server {
  #dir;
  #child;
  #ready;
  #flags;

  /** With further flags of `duet serve`. */
  static async start(flags = []) {
    const server = new Server();
    server.#flags = flags;
    server.#dir = await mkdtemp(join(tmpdir(), 'duet-e2e-'));
    await server.restart();
    return server;
  }

  /** The page's address. */
  get page() {
    return this.#ready.dev;
  }

  /** `host:port` for clients, UDP and TCP. */
  get clients() {
    return this.#ready.clients[0];
  }

  /** `host:port` of the page, plain HTTP. */
  get dev() {
    return `127.0.0.1:${new URL(this.page).port}`;
  }

  /** SHA-256 of the certificate, hexadecimal. */
  get certificate() {
    return this.#ready.certificate_sha256;
  }

  /** Where its data lies. */
  get data() {
    return join(this.#dir, 'data');
  }

  /** Starts on the same data; the ports are those of the first time. */
  async restart() {
    const [clients, dev] = this.#ready
      ? [this.#ready.clients.join(','), `127.0.0.1:${new URL(this.#ready.dev).port}`]
      : ['127.0.0.1:0,[::1]:0', '127.0.0.1:0'];
    const file = join(this.#dir, 'ready.json');
    await rm(file, { force: true });
    const options = ['--data-dir', join(this.#dir, 'data'), '--ready-file', file, '--log-level', 'warn'];
    const listen = ['--listen', clients, '--admin-listen', '127.0.0.1:0', '--dev-listen', dev];
    this.#child = spawn(BINARY, ['serve', '--dev', ...options, ...listen, ...this.#flags], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: CLEAN,
    });
    this.#ready = await until('the server is ready', READY_WITHIN_MS, async () => {
      if (this.#child.exitCode !== null) throw new Error(`${BINARY} ended with ${this.#child.exitCode}`);
      return readFile(file, 'utf8').then(JSON.parse, () => undefined);
    });
  }

  /** What a metric without labels says. */
  async metric(name) {
    const answer = await fetch(`http://${this.#ready.admin}/metrics`);
    const line = (await answer.text()).split('\n').find(text => text.startsWith(`${name} `));
    if (line === undefined) throw new Error(`there is no metric ${name}`);
    return Number(line.slice(name.length + 1));
  }

  /** As a crash would: nothing is said to anybody. */
  async kill() {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  /** As an operator would; resolves when it has ended. */
  async terminate() {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await ended;
  }

  /** Stands still: no packet is answered, and no connection ends. `proceed` wakes it. */
  pause() {
    this.#child.kill('SIGSTOP');
  }

  proceed() {
    this.#child.kill('SIGCONT');
  }

  async stop() {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.kill();
    await rm(this.#dir, { recursive: true, force: true });
  }
}
