/** Ports of this machine that nobody uses at the moment. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** A port that is free for TCP and UDP on both families. Somebody may take it before it is used: then a node says so. */
export async function freePort() {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const tcp = createServer().listen(0, '::');
    await once(tcp, 'listening');
    const { port } = tcp.address();
    const free = await udpIsFree(port);
    tcp.close();
    await once(tcp, 'close');
    if (free) return port;
  }
  throw new Error(`no free port in ${TRIES} tries`);
}

async function udpIsFree(port) {
  const udp = createSocket('udp6');
  try {
    udp.bind(port, '::');
    await once(udp, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    udp.close();
  }
}

const TRIES = 20;
