/**
 * The conformance suite: every law of `scenarios/` on every lane, and a matrix of clauses by lane at the end.
 *
 *   node conformance/run.js [--full] [--only <part of a law's name>] [--lane <part of a lane's name>] [--at-once n]
 *
 * Ends with `PASS conformance …` or `FAIL conformance …` and a status that agrees.
 */
import { launch } from '../e2e/people.js';
import { bundles } from './agent/build.js';
import { LANES } from './driver/lanes.js';
import { cells, matrix, why } from './driver/matrix.js';
import { World } from './driver/world.js';
import { LAWS } from './scenarios/all.js';

const WITHIN_MS = 240_000;

const options = parse(process.argv.slice(2));
const built = await bundles();
const browsers = new Set();
let shared;
/** One Chromium for all, started when a page is wanted first. */
const browser = () => {
  shared ??= launch().then(launched => {
    browsers.add(launched);
    return launched;
  });
  return shared;
};

const todo = cells(LAWS, Object.keys(LANES), options);
const results = [];
const begun = performance.now();
const queue = todo.filter(cell => cell.skipped === undefined);
results.push(...todo.filter(cell => cell.skipped !== undefined));
await Promise.all(Array.from({ length: options.atOnce }, worker));
for (const one of browsers) await one.close();

const failed = results.filter(({ error }) => error !== undefined);
process.stdout.write(`\n${matrix(results, Object.keys(LANES))}\n`);
for (const { law, lane, error } of failed)
  process.stdout.write(`\nFAIL ${lane}: ${law.name}\n  ${error.stack ?? error}\n`);
const passed = results.filter(({ passed }) => passed).length;
const seconds = Math.round((performance.now() - begun) / 1_000);
const figures = `${passed} of ${passed + failed.length} laws on ${new Set(results.map(({ lane }) => lane)).size} lanes, ${new Set(LAWS.flatMap(({ clauses }) => clauses)).size} clauses, ${seconds} s`;
process.stdout.write(`\n${failed.length === 0 && passed > 0 ? 'PASS' : 'FAIL'} conformance: ${figures}\n`);
process.exit(failed.length === 0 && passed > 0 ? 0 : 1);

async function worker() {
  for (let cell = queue.shift(); cell !== undefined; cell = queue.shift()) {
    const { law, lane } = cell;
    const from = performance.now();
    let world;
    try {
      world = await World.begin(lane, law.settings, { bundles: built, browser });
      await inTime(law.run(world));
      cell.passed = true;
    } catch (error) {
      cell.error = error;
    } finally {
      await world?.end();
    }
    results.push(cell);
    const took = ((performance.now() - from) / 1_000).toFixed(1);
    process.stdout.write(
      `${cell.passed ? 'ok  ' : 'FAIL'} ${took.padStart(5)} s  ${lane.padEnd(22)} ${law.name}\n`,
    );
    if (!cell.passed) process.stdout.write(`       ${why(cell.error)}\n`);
  }
}

function inTime(work) {
  let late;
  const limit = new Promise((_, reject) => {
    late = setTimeout(() => reject(new Error(`not done within ${WITHIN_MS} ms`)), WITHIN_MS);
  });
  return Promise.race([work, limit]).finally(() => clearTimeout(late));
}

function parse(words) {
  const after = name => (words.includes(name) ? words[words.indexOf(name) + 1] : undefined);
  return {
    full: words.includes('--full'),
    only: after('--only'),
    lane: after('--lane'),
    atOnce: Number(after('--at-once') ?? 6),
  };
}
