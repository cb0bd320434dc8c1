/**
 * What a conversation suffers from the losses of another one on the same connection, carrier by carrier. One client has two
 * conversations open through a wire; in one somebody sends large messages, in the other small ones, and it is measured how long the small
 * ones take, in clear weather and when packets are lost. Figures, no verdict.
 *
 *   node conformance/headofline.js [--seconds 20] [--loss 0.05]
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { launch } from '../e2e/people.js';
import { bundles } from './agent/build.js';
import { percentile } from './driver/figures.js';
import { LANES } from './driver/lanes.js';
import { World } from './driver/world.js';

const SMALL_EVERY_MS = 50;
const LARGE_EVERY_MS = 40;
/** Three packets: much to lose, and still less than what congestion control leaves at such a loss. */
const LARGE = 'x'.repeat(3_000);
const DELAY_MS = 20;

const words = process.argv.slice(2);
const number = (name, otherwise) => Number(words.includes(name) ? words[words.indexOf(name) + 1] : otherwise);
const [seconds, loss] = [number('--seconds', 20), number('--loss', 0.05)];

const built = await bundles();
const browser = await launch();
process.stdout.write(
  `round trip ${2 * DELAY_MS} ms, ${loss * 100} % loss, ${seconds} s each; milliseconds until a small message is told\n\n`,
);
process.stdout.write(
  '| carrier | clear p50 | clear p99 | lossy p50 | lossy p90 | lossy p99 |\n| --- | --- | --- | --- | --- | --- |\n',
);
for (const lane of ['rust/quic', 'chromium/webtransport', 'rust/websocket', 'chromium/websocket'].filter(
  name => LANES[name],
)) {
  const clear = await measure(lane, { delay_ms: DELAY_MS });
  const lossy = await measure(lane, { delay_ms: DELAY_MS, loss });
  const cells = [
    percentile(clear, 0.5),
    percentile(clear, 0.99),
    percentile(lossy, 0.5),
    percentile(lossy, 0.9),
    percentile(lossy, 0.99),
  ];
  process.stdout.write(`| ${lane} | ${cells.map(ms => ms.toFixed(0)).join(' | ')} |\n`);
}
await browser.close();
process.exit(0);

/** Sorted times of the small messages. */
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
    await world.agree(small, subject, quiet);
    const heard = subject.told('message.created', { conversation: small });
    return heard.map(({ id, at }) => at - begun.get(id)).sort((a, b) => a - b);
  } finally {
    await world.end();
  }
}
