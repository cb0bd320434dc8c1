/** `make demo-pair`: a pair and its page until SIGINT or SIGTERM. `SERVER_BINARY` names the binary, `PAGE_PORT` the page's port. */
import { Front } from './front.js';
import { DEBUG_BINARY, Stage } from './stage.js';

const binary = process.env.SERVER_BINARY ?? DEBUG_BINARY;
// Listened to until the end: whoever asks twice, as a terminal and a script do together, must not leave processes behind.
const asked = new Promise(resolve => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, resolve);
});
const tell = text => process.stdout.write(`${text}\n`);

const stage = await Stage.start({ binary, tell, logLevel: process.env.DUET_LOG_LEVEL ?? 'error' });
const front = await Front.start(stage, Number(process.env.PAGE_PORT ?? 8080));
const admins = stage.nodes.map(({ admin }) => `--admin 127.0.0.1:${admin}`).join(' ');
tell(`
A pair is ready. A visitor and an agent chat at ${front.page}

  kill the primary    the button at the top of the page, or
                      curl -X POST -H 'x-duet-operator: 1' ${front.page}demo/pair/kill
  see how it stands   ${binary} pair status ${admins}
  hand over           ${binary} pair switchover --admin <the primary's>

A killed node is started again after three seconds.`);
await asked;
tell('Stopping.');
await front.stop();
await stage.stop();
