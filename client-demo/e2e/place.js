/** Where the laws of one suite take place: a server of its own, and Chromium. */
import { after, before } from 'node:test';
import { launch } from './people.js';
import { Server } from './server.js';

/** Starts both before the tests of the suite that calls it, and ends them after. Filled when the first test begins. */
export function place() {
  const at = {};
  before(async () => {
    at.server = await Server.start();
    at.browser = await launch();
  });
  after(async () => {
    await at.browser?.close();
    await at.server?.stop();
  });
  return at;
}
