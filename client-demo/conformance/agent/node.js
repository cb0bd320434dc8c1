/** The agent as a Node process: lines of JSON on stdin and stdout. What a browser would keep lies in files, so that it can be killed. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { browserDial } from '../../sdk/src/host/dial.ts';
import { OutboxStore } from '../../sdk/src/host/outbox-store.ts';
import { browserParts } from '../../sdk/src/host/parts.ts';
import { Agent } from './agent.js';

/** An area of storage as a folder, a file an entry: written at once, as the browser's is. */
function folder(path) {
  mkdirSync(path, { recursive: true });
  const file = key => join(path, encodeURIComponent(key));
  return {
    get: key => {
      try {
        return readFileSync(file(key), 'utf8');
      } catch {
        return undefined;
      }
    },
    set: (key, value) => {
      if (value === undefined) rmSync(file(key), { force: true });
      else writeFileSync(file(key), value);
    },
    keys: () => readdirSync(path).map(decodeURIComponent),
  };
}

/** With a store: the SDK's own parts, but with files where a page has storage. */
function parts(name, options, { store }) {
  if (store === undefined) return undefined;
  const areas = { tab: folder(join(store, 'tab')), device: folder(join(store, 'device')) };
  return {
    ...browserParts(name, false, browserDial(options, name, areas)),
    areas,
    store: new OutboxStore(name, areas.tab, false),
  };
}

const agent = new Agent(line => process.stdout.write(`${JSON.stringify(line)}\n`), parts);
const lines = createInterface({ input: process.stdin });
lines.on('line', line => void agent.take(JSON.parse(line)));
lines.on('close', () => process.exit(0));
