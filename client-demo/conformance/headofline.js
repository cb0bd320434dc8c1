/**
 * What a conversation suffers from the losses of another one on the same connection, carrier by carrier. One client has two
 * conversations open through a wire; in one somebody sends large messages, in the other small ones. The wire loses what is large and spares
 * what is small, so that only the first conversation has anything to wait for; it is measured how long the small ones take, in clear
 * weather and in this one. Figures, no verdict.
 *
 *   node conformance/headofline.js [--seconds 20] [--loss 0.1] [--lane <part of a name>]
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { launch } from '../e2e/people.js';
import { bundles } from './agent/build.js';
import { percentile } from './driver/figures.js';
import { World } from './driver/world.js';

const SMALL_EVERY_MS = 100;
const LARGE_EVERY_MS = 400;
/** Two packets, less than what congestion control leaves at such a loss. */
const LARGE = 'x'.repeat(2_000);
/** Each way; so long that what a loss costs stands out of what a busy machine costs. */
const DELAY_MS = 200;
/** Larger than a packet with a small message, smaller than a full one. */
const SPARED_BYTES = 700;
const CARRIERS = ['rust/quic', 'rust/websocket', 'chromium/webtransport', 'chromium/websocket'];

const words = process.argv.slice(2);
const number = (name, otherwise) => Number(words.includes(name) ? words[words.indexOf(name) + 1] : otherwise);
const lanes = CARRIERS.filter(name =>
  words.includes('--lane') ? name.includes(words[words.indexOf('--lane') + 1]) : true,
);
const [seconds, loss] = [number('--seconds', 20), number('--loss', 0.1)];

const built = await bundles();
const browser = await launch();
say(`round trip ${2 * DELAY_MS} ms, ${loss * 100} % of large packets lost, ${seconds} s each;`);
say('milliseconds until a message is told: p50 / p90 / p99\n');
say('| carrier | small, clear | small, lossy | large, clear | large, lossy |');
say('| --- | --- | --- | --- | --- |');
for (const lane of lanes) {
  const clear = await measure(lane, { delay_ms: DELAY_MS });
  const lossy = await measure(lane, { delay_ms: DELAY_MS, loss, spares_bytes: SPARED_BYTES });
  const columns = [clear.small, lossy.small, clear.large, lossy.large];
  const cells = columns.map(times => [0.5, 0.9, 0.99].map(share => percentile(times, share).toFixed(0)));
  say(`| ${lane} | ${cells.map(cell => cell.join(' / ')).join(' | ')} |`);
}
await browser.close();
process.exit(0);

/** Sorted times of the small and of the large messages. */
async function measure(lane, weather) {
  const world = await World.begin(lane, [], { bundles: built, browser: () => browser });
  try {
    const subject = await world.join('subject');
    const [quiet, loud] = await Promise.all(
      ['quiet', 'loud'].map(name => world.join(name, { direct: true })),
    );
    const [small, large] = [await world.room(quiet, subject), await world.room(loud, subject)];
    // Only what the client hears is lost: its own acknowledgements do not come into it.
    await world.wire.weather({ delay_ms: DELAY_MS }, 'up');
    await world.wire.weather(weather, 'down');
    const until = performance.now() + seconds * 1_000;
    const begun = new Map();
    const send = async (who, conversation, text, everyMs) => {
      for (let n = 0; performance.now() < until; n += 1) {
        const at = performance.now();
        const { id } = await who.do('send', { conversation, text: `${n} ${text}` });
        begun.set(id, at);
        await sleep(everyMs);
      }
    };
    await Promise.all([
      send(quiet, small, 'small', SMALL_EVERY_MS),
      send(loud, large, LARGE, LARGE_EVERY_MS),
    ]);
    await world.wire.weather();
    await Promise.all([world.agree(small, subject, quiet), world.agree(large, subject, loud)]);
    const times = conversation => {
      const heard = subject.told('message.created', { conversation });
      return heard.map(({ id, at }) => at - begun.get(id)).sort((a, b) => a - b);
    };
    return { small: times(small), large: times(large) };
  } finally {
    await world.end();
  }
}

function say(line) {
  process.stdout.write(`${line}\n`);
}
