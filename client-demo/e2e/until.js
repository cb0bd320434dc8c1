/** Waiting for a fact, with a deadline. */
import { setTimeout as sleep } from 'node:timers/promises';

const EVERY_MS = 50;

/** Asks until the answer is truthy, and returns it; fails with `what` when that takes longer than `withinMs`. */
export async function until(what, withinMs, ask) {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await sleep(EVERY_MS);
  }
}
