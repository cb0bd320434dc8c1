/** States of a client and the way between them. */
import assert from 'node:assert/strict';
import { law } from './law.js';

export default [
  law(
    'a client goes from connecting to connected and to closed, and says each once',
    ['C-STATE-1', 'C-STATE-2', 'C-STATE-6'],
    {},
    async world => {
      const subject = await world.join('subject');
      assert.deepEqual(subject.states(), ['connecting', 'connected']);
      const change = await subject.hears('state', { current: 'connected' });
      assert.deepEqual([change.previous, change.code], ['connecting', 0]);
      assert.equal(typeof change.node, 'string');
      await subject.do('close');
      const closed = await subject.hears('state', { current: 'closed' });
      assert.deepEqual([closed.previous, closed.code], ['connected', 6]);
    },
  ),

  law('a closed client begins anew when it is asked to', ['C-STATE-6'], {}, async world => {
    const subject = await world.join('subject');
    await subject.do('close');
    await subject.hears('state', { current: 'closed' });
    subject.mark();
    await subject.do('connect');
    const change = await subject.hears('state', { current: 'connected' });
    assert.equal(change.resumed, false, 'the session had ended');
  }),

  law(
    'a lost connection is told at once, tried again within a second, and comes back as the same session',
    ['C-STATE-3', 'C-RETRY-1', 'C-RESUME-1'],
    {},
    async world => {
      const subject = await world.join('subject');
      await world.drop(subject);
      const lost = await subject.hears('state', { current: 'reconnecting' });
      assert.equal(lost.previous, 'connected');
      // Without a wait, the try is under way already.
      assert.ok((lost.retryIn ?? 0) <= 1_000, `the first try after ${lost.retryIn} ms`);
      await world.wire.heal();
      const back = await subject.hears('state', { current: 'connected' });
      assert.equal(back.resumed, true);
      subject.never('discontinuity');
    },
  ),

  law(
    'a client that cannot connect says each failed try with the wait before the next',
    ['C-STATE-2', 'C-RETRY-2'],
    {},
    async world => {
      const subject = await world.person('subject');
      await world.server.kill();
      await subject.connect();
      const tries = await subject.until(
        'three failed tries',
        () => {
          const failed = subject.told('state', {
            current: 'connecting',
            retryIn: wait => typeof wait === 'number',
          });
          return failed.length >= 3 && failed;
        },
        60_000,
      );
      for (const { retryIn, code } of tries) {
        assert.ok(retryIn >= 0 && retryIn <= 20_000, `${retryIn}`);
        assert.ok(code > 0 && code < 100, `the client's own code: ${code}`);
      }
      await world.server.restart();
      await subject.hears('state', { current: 'connected' }, 45_000);
    },
  ),

  law(
    'a client that is away for longer than the window is suspended, goes on trying, and is connected again',
    ['C-STATE-4'],
    { settings: ['limits.resume_window_ms=1000'] },
    async world => {
      const { subject, other, room } = await world.two();
      await world.server.kill();
      await subject.hears('state', { current: 'reconnecting' });
      await subject.hears('state', { current: 'suspended' });
      const [sent] = await subject.say(room, 'from a suspended client');
      await world.server.restart();
      await subject.hears('state', { current: 'connected' }, 45_000);
      await subject.reached([sent], 'accepted', 'mirrored', 'delivered', 'read');
      await world.agree(room, subject, other);
    },
  ),

  law(
    'a code from 3500 on ends in failed, and nothing is tried again',
    ['C-STATE-5', 'C-CODE-3'],
    { settings: ['limits.user_sessions_max=1'] },
    async world => {
      await world.join('first', { direct: true, user: 'vera' });
      const subject = await world.person('subject', { user: 'vera' });
      await subject.connect();
      const failed = await subject.hears('state', { current: 'failed' });
      assert.equal(failed.code, 3504);
      assert.ok(failed.retryIn === undefined || failed.retryIn === null);
      await assert.rejects(subject.do('ready'), { code: 3504 });
    },
  ),

  law(
    'a server that stops sends its clients away, and they come back when it is back',
    ['C-DRAIN-1', 'C-CODE-2'],
    {},
    async world => {
      const { subject, other, room } = await world.two();
      await subject.say(room, 'before');
      subject.mark();
      await world.server.terminate();
      const lost = await subject.hears('state', { current: 'reconnecting' });
      assert.ok(lost.code >= 3000 && lost.code < 3500, `${lost.code}`);
      const [sent] = await subject.say(room, 'meanwhile');
      await world.server.restart();
      const back = await subject.hears('state', { current: 'connected' }, 45_000);
      assert.equal(back.resumed, true);
      await subject.reached([sent], 'accepted', 'mirrored', 'delivered', 'read');
      await world.agree(room, subject, other);
    },
  ),
];
