/**
 * The columns of the matrix: which SDK, in what, over which carrier; how an agent of each kind is started, and where it dials.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { Dialogue, Process } from './lines.js';

const RUST =
  process.env.DUET_AGENT_BIN ??
  fileURLToPath(new URL('../../../target/debug/examples/agent', import.meta.url));
/** Node keeps its WebSocket behind a switch until version 22. */
const SWITCHES = Number(process.versions.node.split('.')[0]) < 22 ? ['--experimental-websocket'] : [];

/** All lanes, by name. `udp`: what carries it; `requests`: it is many
 * requests, of which each may break; `full`: only in the full run. */
export const LANES = {
  'rust/quic': { sdk: 'rust', host: 'rust', transport: 'quic', udp: true },
  'rust/websocket': { sdk: 'rust', host: 'rust', transport: 'websocket', udp: false },
  'node/websocket': { sdk: 'ts', host: 'node', transport: 'websocket', udp: false },
  'node/sse': { sdk: 'ts', host: 'node', transport: 'sse', udp: false, requests: true, full: true },
  'node/poll': { sdk: 'ts', host: 'node', transport: 'poll', udp: false, requests: true, full: true },
  'chromium/webtransport': { sdk: 'ts', host: 'chromium', transport: 'webtransport', udp: true },
  'chromium/websocket': { sdk: 'ts', host: 'chromium', transport: 'websocket', udp: false, full: true },
  'chromium/sse': { sdk: 'ts', host: 'chromium', transport: 'sse', udp: false, requests: true, full: true },
  'chromium/poll': { sdk: 'ts', host: 'chromium', transport: 'poll', udp: false, requests: true, full: true },
};

/** What a client of this lane is told about where to dial: `clients` is the server's port, `streams` the
 * same where UDP is swallowed, `dev` its plain HTTP one. */
export function dialling({ host, transport }, { clients, streams, dev, certificate }) {
  // The Rust SDK has one port, and finds out by itself that UDP does not pass.
  if (host === 'rust') return { endpoints: [transport === 'websocket' ? streams : clients], certificate };
  const endpoint = {
    url: `https://${clients}`,
    webSocket: `ws://${dev}/duet/v1/ws`,
    http: `http://${dev}/duet/v1`,
  };
  const transports = transport === 'auto' ? undefined : [transport];
  return { endpoints: [endpoint], certificate, transports };
}

/** Starts agents; `bundles` are the built TypeScript ones, `browser` gives Chromium when it is needed. */
export class Agents {
  #bundles;
  #browser;
  #running = new Set();

  constructor(bundles, browser) {
    this.#bundles = bundles;
    this.#browser = browser;
  }

  async start(host, news) {
    const agent = await this.#make(host, news);
    this.#running.add(agent);
    return agent;
  }

  async stop() {
    for (const agent of this.#running) await agent.end();
    this.#running.clear();
  }

  #make(host, news) {
    if (host === 'rust') return new ProcessAgent(RUST, [], news);
    if (host === 'node')
      return new ProcessAgent(process.execPath, [...SWITCHES, '--no-warnings', this.#bundles.node], news);
    return PageAgent.open(this.#browser, this.#bundles.page, news);
  }
}

/** An agent that is a process. */
class ProcessAgent {
  #process;
  #start;

  constructor(command, args, news) {
    this.#start = () => new Process(command, args, news);
    this.#process = this.#start();
  }

  get dialogue() {
    return this.#process.dialogue;
  }

  /** SIGSTOP, as a laptop that is closed; `wake` opens it. */
  sleep() {
    this.#process.signal('SIGSTOP');
  }

  wake() {
    this.#process.signal('SIGCONT');
  }

  /** kill -9; nothing is said to anybody. */
  kill() {
    return this.#process.kill();
  }

  /** Another process; what the first one stored is there. */
  async again() {
    await this.#process.kill();
    this.#process = this.#start();
  }

  end() {
    return this.#process.kill();
  }
}

let page;

/** An empty page on this machine, which browsers take for secure: the address of one that they only believe in may call nobody here. */
async function emptyPage() {
  const server = createServer((_, answer) =>
    answer.setHeader('content-type', 'text/html').end('<!doctype html>'),
  );
  server.listen(0, '127.0.0.1').unref();
  await once(server, 'listening');
  return `http://localhost:${server.address().port}/`;
}

/** An agent that is a page in a profile of its own. */
class PageAgent {
  #context;
  #page;
  #bundle;
  dialogue;

  static async open(browser, bundle, news) {
    const context = await (await browser()).newContext();
    const agent = new PageAgent();
    agent.#context = context;
    agent.#bundle = bundle;
    page ??= await emptyPage();
    agent.#page = await context.newPage();
    agent.dialogue = new Dialogue(line => {
      // A page that is gone takes nothing more.
      agent.#page.evaluate(order => globalThis.duetTake(order), line).catch(() => undefined);
    }, news);
    await agent.#page.exposeFunction('duetTell', line => agent.dialogue.take(line));
    await agent.#load();
    return agent;
  }

  async #load() {
    await this.#page.goto(page);
    await this.#page.addScriptTag({ path: this.#bundle });
  }

  /** The tab is closed; the page hears of it, the server only from the carrier's end. */
  async kill() {
    this.dialogue.end('the page is closed');
    await this.#page.close();
  }

  /** A reload: everything but what the tab stored is gone. */
  async again() {
    this.dialogue.end('the page is loaded anew');
    await this.#load();
  }

  async end() {
    this.dialogue.end('the page is closed');
    await this.#context.close();
  }
}
