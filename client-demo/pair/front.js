/**
 * The page of a pair for development: one address that stays while nodes die, on loopback only.
 *
 * Serves the built page, access to both nodes, WebSockets to either, the state of the pair and the order to kill its
 * primary. Requests that do not name this machine, and orders of foreign pages, are refused.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { extname, join, normalize, sep } from 'node:path';
import { json, Refused } from './stage.js';

/** Serves the page of `stage` at `port` of localhost, or at a free one when that is taken. */
export class Front {
  #stage;
  #servers = [];
  #certificates = new Map();

  static async start(stage, port) {
    const front = new Front();
    front.#stage = stage;
    const first = await front.#listen('127.0.0.1', port).catch(() => front.#listen('127.0.0.1', 0));
    // `localhost` may mean either family; without IPv6 browsers take the other one.
    await front.#listen('::1', first.address().port).catch(() => undefined);
    front.page = `http://localhost:${first.address().port}/`;
    return front;
  }

  async stop() {
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
    }
  }

  async #listen(host, port) {
    const server = createServer((request, response) => {
      this.#answer(request, response).catch(error => {
        send(response, 500, { error: error.message });
      });
    });
    server.on('upgrade', (request, socket, head) => {
      this.#upgrade(request, socket, head);
    });
    server.listen(port, host);
    await once(server, 'listening');
    this.#servers.push(server);
    return server;
  }

  async #answer(request, response) {
    if (!isLocal(request))
      return send(response, 403, { error: 'Ask this machine by its own name: localhost.' });
    const { pathname, search } = new URL(request.url, 'http://localhost');
    const route = `${request.method} ${pathname}`;
    if (route === 'GET /dev/token') return this.#token(request, response, search);
    if (route === 'GET /demo/pair')
      return send(response, 200, { nodes: (await this.#stage.status()).map(seen) });
    if (route === 'POST /demo/pair/kill') return this.#kill(request, response);
    if (request.method === 'GET') return file(response, pathname);
    return send(response, 405, { error: 'There is no such order.' });
  }

  /** Access, from whichever node gives it first; good at both. */
  async #token(request, response, search) {
    const nodes = await this.#stage.nodesByRank();
    const asked = nodes.map(async node => {
      const grant = await json(`http://127.0.0.1:${node.dev}/dev/token${search}`);
      this.#certificates.set(node.side, grant.certificate_sha256);
      return grant;
    });
    const answers = await Promise.allSettled(asked);
    const given = answers.find(answer => answer.status === 'fulfilled');
    if (given === undefined) return send(response, 503, { error: 'Neither node answers.' });
    const { host } = request.headers;
    return send(response, 200, {
      ...given.value,
      endpoint: nodes[0].endpoint,
      endpoints: nodes.map(({ endpoint }) => endpoint),
      websockets: nodes.map(({ side }) => `ws://${host}/${side}${WEBSOCKET}`),
      certificates_sha256: [...this.#certificates.values()],
      pair: true,
    });
  }

  async #kill(request, response) {
    const { origin, host } = request.headers;
    const foreign = origin !== undefined && origin !== `http://${host}`;
    // No page of another origin can send this header unasked.
    if (foreign || request.headers[ORDER_HEADER] !== '1') {
      return send(response, 403, {
        error: `Orders come from this page, or carry the header ${ORDER_HEADER}: 1.`,
      });
    }
    try {
      return send(response, 200, { killed: await this.#stage.killPrimary() });
    } catch (error) {
      if (error instanceof Refused) return send(response, 409, { error: error.message });
      throw error;
    }
  }

  /** Hands a WebSocket's bytes to the node that its path names; where it came from stays in the request. */
  #upgrade(request, socket, head) {
    const node = this.#stage.nodes.find(({ side }) => request.url === `/${side}${WEBSOCKET}`);
    if (node === undefined || !isLocal(request)) {
      socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    const there = connect(node.dev, '127.0.0.1', () => {
      const headers = pairs(request.rawHeaders).map(([name, value]) => `${name}: ${value}\r\n`);
      there.write(`GET ${WEBSOCKET} HTTP/1.1\r\n${headers.join('')}\r\n`);
      there.write(head);
      there.pipe(socket).pipe(there);
    });
    // When one side is gone, so is the other.
    there.on('error', () => socket.destroy()).on('close', () => socket.destroy());
    socket.on('error', () => there.destroy()).on('close', () => there.destroy());
  }
}

/** What the page shows of a node. */
function seen({ side, up, report }) {
  const { role, serving, in_sync: inSync, epoch } = report ?? {};
  return { side, up, role, serving, in_sync: inSync, epoch };
}

/** Whether the request names this machine (RFC 9110 §7.2). */
function isLocal({ headers: { host = '' } }) {
  return /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(host);
}

async function file(response, pathname) {
  const path = normalize(join(BUILT, pathname.endsWith('/') ? `${pathname}index.html` : pathname));
  const content = path.startsWith(BUILT + sep) ? await readFile(path).catch(() => undefined) : undefined;
  if (content === undefined) return send(response, 404, { error: 'There is no such file.' });
  const type = TYPES[extname(path)] ?? 'application/octet-stream';
  response.writeHead(200, {
    'content-type': type,
    'cache-control': 'no-cache',
    'x-content-type-options': 'nosniff',
  });
  return response.end(content);
}

function send(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(`${JSON.stringify(body)}\n`);
}

function pairs(list) {
  return Array.from({ length: list.length / 2 }, (_, i) => [list[2 * i], list[2 * i + 1]]);
}

const BUILT = normalize(join(import.meta.dirname, '../demo/dist'));
const WEBSOCKET = '/duet/v1/ws';
const ORDER_HEADER = 'x-duet-operator';
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};
