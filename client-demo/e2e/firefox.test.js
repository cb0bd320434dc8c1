/** A visitor and an agent in different browsers: what is typed in Firefox is read in Chromium, and the other way round. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { agentOf, launchDoomedFirefox, launchFirefox, take, visitorOf } from './people.js';
import { place } from './place.js';

const GONE = /Connection lost a moment ago|Offline/;

describe('Firefox and Chromium', () => {
  const at = place();
  const browsers = {};
  before(async () => {
    browsers.Chromium = at.browser;
    browsers.Firefox = await launchFirefox();
  });
  afterEach(async () => {
    const contexts = Object.values(browsers).flatMap(browser => browser.contexts());
    await Promise.all(contexts.map(context => context.close()));
  });
  after(async () => {
    await browsers.Firefox?.close();
  });

  /**
   * A visitor called `name` in one browser, and an agent in the other who has taken the conversation. Both use the given
   * carrier alone: left to themselves they would take the faster one, and which that is depends on the machine.
   */
  async function meet(name, visitorIn, transport = 'webtransport') {
    const agentIn = visitorIn === 'Firefox' ? 'Chromium' : 'Firefox';
    const visitor = await visitorOf({ ...at, browser: browsers[visitorIn] }, name, `&transport=${transport}`);
    const agent = await agentOf({ ...at, browser: browsers[agentIn] }, `&transport=${transport}`);
    await take(agent, name);
    for (const side of [visitor, agent]) await side.is('connected', transport);
    return { visitor, agent };
  }

  for (const visitorIn of ['Firefox', 'Chromium']) {
    for (const transport of ['webtransport', 'websocket']) {
      it(`type to each other over ${transport}, the visitor in ${visitorIn}: all of it, once, in order`, async () => {
        const { visitor, agent } = await meet(`Ada-${transport}-${visitorIn}`, visitorIn, transport);
        await visitor.types('Is anybody there?');
        await agent.reads('Is anybody there?');
        await agent.types('Of course.');
        await visitor.reads('Of course.');
        const [asked, told] = ['asked', 'told'].map(word => [1, 2, 3, 4].map(turn => `${word} ${turn}`));
        const typeAll = async (side, lines) => {
          for (const line of lines) await side.types(line);
        };
        await Promise.all([typeAll(visitor, asked), typeAll(agent, told)]);
        for (const line of ['Is anybody there?', ...asked]) await visitor.sees(line, 'read');
        for (const line of ['Of course.', ...told]) await agent.sees(line, 'read');
        const texts = await visitor.texts();
        assert.deepEqual(await agent.texts(), texts, 'both see the same');
        assert.deepEqual(texts.slice(0, 2), ['Is anybody there?', 'Of course.']);
        assert.deepEqual(
          texts.filter(text => text.startsWith('asked')),
          asked,
        );
        assert.deepEqual(
          texts.filter(text => text.startsWith('told')),
          told,
        );
        assert.equal(texts.length, 10);
        for (const side of [visitor, agent]) await side.is('connected', transport);
      });
    }

    it(`go on by themselves when the server was killed, the visitor in ${visitorIn}`, async () => {
      const { visitor, agent } = await meet(`Bea-${visitorIn}`, visitorIn);
      await visitor.types('before');
      await agent.reads('before');
      await at.server.kill();
      await Promise.all([visitor.types('meanwhile'), agent.types('in the dark')]);
      await Promise.all([visitor.sees('meanwhile', 'queued'), agent.sees('in the dark', 'queued')]);
      await at.server.restart();
      await visitor.sees('meanwhile', 'read');
      await agent.sees('in the dark', 'read');
      await agent.types('after');
      await visitor.reads('after');
      const texts = await visitor.texts();
      assert.deepEqual(await agent.texts(), texts, 'both see the same');
      assert.deepEqual([...texts].sort(), ['after', 'before', 'in the dark', 'meanwhile']);
      for (const side of [visitor, agent]) await side.is('connected', 'webtransport');
    });

    it(`find everything again after a reload of both, the visitor in ${visitorIn}`, async () => {
      const { visitor, agent } = await meet(`Cai-${visitorIn}`, visitorIn);
      const lines = Array.from({ length: 8 }, (_, i) => `line ${i + 1}`);
      for (const [i, line] of lines.entries()) await (i % 2 === 0 ? visitor : agent).types(line);
      for (const [i, line] of lines.entries()) await (i % 2 === 0 ? visitor : agent).sees(line, 'read');
      const told = await visitor.texts();
      await Promise.all([visitor.page.reload(), agent.page.reload()]);
      await agent.room.locator('button.item', { hasText: `Cai-${visitorIn}` }).click();
      for (const side of [visitor, agent]) {
        await side.reads(told.at(-1));
        assert.deepEqual(await side.texts(), told);
      }
      await visitor.types('still here');
      await agent.reads('still here');
      await visitor.sees('still here', 'read');
    });

    it(`see each other come and go, the visitor in ${visitorIn}: a closed tab is a changed presence`, async () => {
      const leaving = await meet(`Dov-${visitorIn}`, visitorIn);
      const talk = leaving.agent.room.getByRole('region', { name: 'Current conversation' });
      await talk.getByText('Online', { exact: true }).waitFor();
      await leaving.visitor.page.close({ runBeforeUnload: true });
      await talk.getByText(GONE).waitFor();
      await leaving.agent.page.close({ runBeforeUnload: true });
      const staying = await meet(`Eva-${visitorIn}`, visitorIn);
      await staying.visitor.room.getByText('Online', { exact: true }).waitFor();
      await staying.agent.page.close({ runBeforeUnload: true });
      await staying.visitor.room.getByText(GONE).waitFor();
    });
  }

  it('a visitor whose Firefox has crashed is missed', async () => {
    const { browser, kill } = await launchDoomedFirefox();
    try {
      await visitorOf({ ...at, browser }, 'Fay', '&transport=webtransport');
      const agent = await agentOf(at);
      await take(agent, 'Fay');
      const talk = agent.room.getByRole('region', { name: 'Current conversation' });
      await talk.getByText('Online', { exact: true }).waitFor();
      await kill();
      // Nobody says so: the connection has to time out.
      await talk.getByText(GONE).waitFor({ timeout: 90_000 });
    } finally {
      await kill();
    }
  });
});
