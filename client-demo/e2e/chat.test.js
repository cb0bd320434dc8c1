/** A visitor and an agent, each in a browser profile of their own, against a real server. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { agentOf, Person, take, visitorOf } from './people.js';
import { place } from './place.js';
import { until } from './until.js';

describe('a visitor and an agent', () => {
  const at = place();

  it('chat both ways over WebTransport, and see how far each message came', async () => {
    const visitor = await visitorOf(at, 'Ana');
    await visitor.is('connected', 'webtransport');
    await visitor.say('Is anybody there?');
    await visitor.sees('Is anybody there?', 'accepted');
    const agent = await agentOf(at);
    await take(agent, 'Ana');
    await agent.reads('Is anybody there?');
    await visitor.sees('Is anybody there?', 'read');
    await agent.field.pressSequentially('Of cou');
    await visitor.room.getByText('Mira is typing').waitFor();
    await agent.say('Of course.');
    await visitor.reads('Of course.');
    await agent.sees('Of course.', 'read');
    assert.match(await visitor.strip.getAttribute('data-epoch'), /^[1-9]\d*$/);
  });

  it('see each other come and go: a closed tab is a changed presence', async () => {
    const visitor = await visitorOf(at, 'Ben');
    const agent = await agentOf(at);
    await take(agent, 'Ben');
    const talk = agent.room.getByRole('region', { name: 'Current conversation' });
    await talk.getByText('Online', { exact: true }).waitFor();
    await visitor.page.close({ runBeforeUnload: true });
    await talk.getByText(/Connection lost a moment ago|Offline/).waitFor();
  });

  it('keep drafts, history and place over a reload', async () => {
    const visitor = await visitorOf(at, 'Cleo');
    const lines = Array.from({ length: 120 }, (_, i) => `line ${i + 1}`);
    for (const line of lines) await visitor.say(line);
    await visitor.sees('line 120', 'accepted', 'delivered', 'read');
    await visitor.page.reload();
    await visitor.reads('line 120');
    await visitor.field.fill('half a sentence');
    // Up to what a fresh subscription does not bring, so that history has to be paged.
    await visitor.log.hover();
    await until('older messages come while scrolling up', 20_000, async () => {
      await visitor.page.mouse.wheel(0, -1_500);
      return visitor.message('line 30').isVisible();
    });
    await visitor.message('line 30').evaluate(row => {
      const log = row.closest('[role=log]');
      log.scrollTop += row.getBoundingClientRect().top - log.getBoundingClientRect().top;
    });
    const place = () => visitor.message('line 30').evaluate(row => row.getBoundingClientRect().top);
    await until('the list has come to rest', 10_000, () => visitor.message('line 30').evaluate(atRest));
    const before = await place();
    await visitor.page.reload();
    await visitor.message('line 30').waitFor();
    await until('the same lines are in view', 20_000, async () => Math.abs((await place()) - before) < 4);
    assert.equal(await visitor.field.inputValue(), 'half a sentence');
    const texts = await visitor.texts();
    assert.deepEqual(texts, lines.slice(lines.length - texts.length), 'a gapless end of what was said');
  });

  it('are one user in two tabs: one message, right counts, one place in the conversation', async () => {
    const first = await visitorOf(at, 'Dora');
    const second = await Person.open(first.page.context(), first.page.url(), 'Visitor');
    await second.is('connected');
    const agent = await agentOf(at);
    await take(agent, 'Dora');
    await first.say('from the first tab');
    await second.reads('from the first tab');
    await second.say('from the second tab');
    await first.sees('from the second tab', 'accepted', 'delivered', 'read');
    await agent.reads('from the second tab');
    for (const side of [first, second, agent]) {
      assert.deepEqual(await side.texts(), ['from the first tab', 'from the second tab']);
    }
    await agent.say('to both');
    await Promise.all([first.reads('to both'), second.reads('to both')]);
  });

  it('get one message of a send that a reload interrupts', async () => {
    const visitor = await visitorOf(at, 'Emil');
    const agent = await agentOf(at);
    await take(agent, 'Emil');
    for (let round = 1; round <= 5; round += 1) {
      await visitor.say(`round ${round}`);
      await visitor.page.reload();
      await visitor.field.waitFor();
      await visitor.sees(`round ${round}`, 'accepted', 'delivered', 'read');
      await agent.reads(`round ${round}`);
    }
    const expected = [1, 2, 3, 4, 5].map(round => `round ${round}`);
    assert.deepEqual(await agent.texts(), expected);
    assert.deepEqual(await visitor.texts(), expected);
  });

  it('end a chat: the agent resolves it, a word of the visitor opens it again', async () => {
    const visitor = await visitorOf(at, 'Frida');
    const agent = await agentOf(at);
    await take(agent, 'Frida');
    await agent.room.getByRole('button', { name: 'Resolve', exact: true }).click();
    await visitor.room.getByText('This conversation was resolved.').waitFor();
    await visitor.say('One more thing');
    await agent.room.getByRole('button', { name: 'Take', exact: true }).waitFor();
  });

  it('count what is unread until it is read', async () => {
    const visitor = await visitorOf(at, 'Gus');
    await visitor.say('one');
    await visitor.say('two');
    const agent = await agentOf(at);
    const item = agent.room.getByRole('button', { name: /Gus/ });
    await item.getByRole('img', { name: '2 unread messages' }).waitFor();
    await take(agent, 'Gus');
    await item.getByRole('img').waitFor({ state: 'detached' });
  });
});

/** In the page: whether the list of this row neither loads nor moves from one frame to the next but one. */
function atRest(row) {
  const list = row.getRootNode().host;
  const { top } = row.getBoundingClientRect();
  return new Promise(resolve => {
    const judge = () => resolve(!list.loading && row.getBoundingClientRect().top === top);
    requestAnimationFrame(() => requestAnimationFrame(judge));
  });
}
