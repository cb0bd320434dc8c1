/** One process of the pair, started again when it dies, until it is told to stop. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** The environment without settings (`DUET_…`), which would be those of all three processes. */
export const CLEAN = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('DUET_')),
);

/** A `duet` process with a ready file. */
export class Process {
  #binary;
  #arguments;
  #readyFile;
  #restartAfterMs;
  #tell;
  #child;
  #stopping = false;
  #again;

  /** `arguments` without `--ready-file`; `tell` gets a sentence when something happens. */
  constructor({ name, binary, arguments: list, readyFile, restartAfterMs, tell }) {
    this.name = name;
    this.#binary = binary;
    this.#arguments = [...list, '--ready-file', readyFile];
    this.#readyFile = readyFile;
    this.#restartAfterMs = restartAfterMs;
    this.#tell = tell;
  }

  get isUp() {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Starts it, and waits until it is ready. */
  async start() {
    this.#stopping = false;
    await rm(this.#readyFile, { force: true });
    const child = spawn(this.#binary, this.#arguments, {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: CLEAN,
    });
    this.#child = child;
    child.once('error', error => {
      this.#tell(`${this.name} cannot be started: ${error.message}`);
    });
    child.once('exit', (status, signal) => {
      this.#ended(status ?? signal);
    });
    const deadline = performance.now() + READY_WITHIN_MS;
    while (performance.now() < deadline) {
      if (!this.isUp) throw new Error(`${this.name} ended before it was ready`);
      const ready = await readFile(this.#readyFile, 'utf8').then(JSON.parse, () => undefined);
      if (ready !== undefined) return ready;
      await sleep(LOOK_EVERY_MS);
    }
    throw new Error(`${this.name} is not ready after ${READY_WITHIN_MS} ms`);
  }

  /** As a crash would: nothing is said to anybody. Resolves when it is gone. */
  async kill() {
    await this.#end('SIGKILL');
  }

  /** Asks it to stop, and makes it when it takes too long; it stays ended until `start`. */
  async stop() {
    this.#stopping = true;
    clearTimeout(this.#again);
    const forced = setTimeout(() => void this.#end('SIGKILL'), STOP_WITHIN_MS);
    await this.#end('SIGTERM');
    clearTimeout(forced);
  }

  async #end(signal) {
    if (!this.isUp) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill(signal);
    await ended;
  }

  #ended(how) {
    if (this.#stopping) return;
    this.#tell(`${this.name} ended (${how}); it is started again in ${this.#restartAfterMs / 1_000} s`);
    this.#again = setTimeout(() => {
      this.start().then(
        () => {
          this.#tell(`${this.name} is back`);
        },
        error => {
          this.#tell(error.message);
        },
      );
    }, this.#restartAfterMs);
  }
}

const READY_WITHIN_MS = 30_000;
const LOOK_EVERY_MS = 25;
const STOP_WITHIN_MS = 12_000;
