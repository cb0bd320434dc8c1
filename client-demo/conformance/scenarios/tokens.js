/** Tokens: asked for when needed, renewed in time, and never the end of a session that can go on. */
import assert from 'node:assert/strict';
import { law } from './law.js';

/** The server's leeway, seconds: a token that ended less than this ago is taken. */
const LEEWAY_S = 30;

export default [
  law('a token is renewed in place at four fifths of its life', ['C-TOKEN-1'], {}, async world => {
    const subject = await world.person('subject');
    // Five seconds by the server's leeway.
    const lives = [5 - LEEWAY_S];
    subject.token = () => ({ token: world.mint('subject', { lifeS: lives.shift() ?? 3_600 }) });
    await subject.ready();
    const { at: connected } = await subject.hears('state', { current: 'connected' });
    const renewed = await subject.hears('token.refreshed', {}, 15_000);
    assert.deepEqual(subject.asked, ['connect', 'refresh']);
    assert.ok(renewed.at - connected < 5_500, `${renewed.at - connected} ms`);
    assert.ok(renewed.expires > Date.now() + 3_000_000);
    assert.deepEqual(subject.states(), ['connecting', 'connected']);
  }),

  law('a provider that fails for a while costs nothing but later tries', ['C-TOKEN-2'], {}, async world => {
    const subject = await world.person('subject');
    let tries = 0;
    subject.token = () => {
      tries += 1;
      return tries <= 2 ? { unavailable: true } : { token: world.mint('subject') };
    };
    await subject.ready();
    assert.equal(tries, 3);
    assert.ok(
      subject.asked.every(reason => reason === 'connect'),
      `${subject.asked}`,
    );
  }),

  law(
    'a token that ends in the middle of a drop is replaced, and the session goes on',
    ['C-TOKEN-3', 'C-RESUME-1'],
    {},
    async world => {
      const subject = await world.person('subject');
      // Good for two more seconds by the server's leeway; ended by its own words.
      const lives = [2 - LEEWAY_S];
      subject.token = () => ({ token: world.mint('subject', { lifeS: lives.shift() ?? 3_600 }) });
      await subject.ready();
      await world.drop(subject);
      await world.wire.heal();
      const back = await subject.hears('state', { current: 'connected' }, 45_000);
      assert.equal(back.resumed, true);
      await subject.until('a second token', () => subject.asked.length >= 2);
      subject.never('state', { current: 'failed' });
    },
  ),

  law(
    'a refused token is replaced once, and a second refusal is the end',
    ['C-TOKEN-4', 'C-CODE-3'],
    {},
    async world => {
      const good = await world.person('good');
      const answers = ['nonsense'];
      good.token = () => ({ token: answers.shift() ?? world.mint('good') });
      await good.ready();
      assert.deepEqual(good.asked, ['connect', 'revoked']);
      const bad = await world.person('bad');
      bad.token = () => ({ token: 'nonsense' });
      await bad.connect();
      const failed = await bad.hears('state', { current: 'failed' });
      assert.equal(failed.code, 3500);
      assert.deepEqual(bad.asked, ['connect', 'revoked']);
    },
  ),

  law(
    'a provider that says there will be no token ends the client',
    ['C-TOKEN-5', 'C-STATE-5'],
    {},
    async world => {
      const subject = await world.person('subject');
      subject.token = () => ({ unauthorized: true });
      await subject.connect();
      const failed = await subject.hears('state', { current: 'failed' });
      assert.equal(failed.code, 1101);
      await assert.rejects(subject.do('ready'), { code: 1101 });
    },
  ),
];
