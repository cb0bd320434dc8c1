/** What was said is changed: edits, reactions, replies, deletions and notes, by what two people see of each other's. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { agentOf, take, visitorOf } from './people.js';
import { place } from './place.js';

describe('a visitor and an agent', () => {
  const at = place();

  /** Opens the menu of the message with this text and chooses from it. */
  async function choose(person, text, item) {
    const message = person.message(text).first();
    await message.hover();
    await message.getByRole('button', { name: /^Actions for/ }).click();
    await message.getByRole('menuitem', { name: item, exact: true }).click();
  }

  it('edit, react, reply and delete, and both see the same', async () => {
    const visitor = await visitorOf(at, 'Nora');
    const agent = await agentOf(at);
    await take(agent, 'Nora');
    await visitor.say('Wher is my parcel?');
    await visitor.sees('Wher is my parcel?', 'delivered', 'read');
    await choose(visitor, 'Wher is my parcel?', 'Edit');
    await visitor.field.fill('Where is my parcel?');
    await visitor.room.getByRole('button', { name: 'Save', exact: true }).click();
    await agent.reads('Where is my parcel?');
    await agent.message('Where is my parcel?').getByText('edited', { exact: true }).waitFor();
    await choose(agent, 'Where is my parcel?', 'React with 👍');
    await visitor.message('Where is my parcel?').getByRole('button', { name: /^👍/ }).waitFor();
    await choose(agent, 'Where is my parcel?', 'Reply');
    await agent.say('On its way.');
    await visitor
      .message('On its way.')
      .getByRole('button', { name: /^In reply to/ })
      .waitFor();
    await choose(agent, 'On its way.', 'Delete');
    await visitor.room.getByText('This message was deleted').waitFor();
    await visitor.page.reload();
    await visitor.reads('Where is my parcel?');
    await visitor.room.getByText('This message was deleted').waitFor();
    assert.equal(await visitor.room.getByText('On its way.').count(), 0);
  });

  it('keep to themselves what is a note', async () => {
    const visitor = await visitorOf(at, 'Olga');
    const agent = await agentOf(at);
    await take(agent, 'Olga');
    await agent.room.getByRole('button', { name: 'Note', exact: true }).click();
    await agent.say('Third complaint this week.');
    await agent.sees('Third complaint this week.', 'accepted', 'mirrored', 'delivered', 'read');
    await agent.room.getByRole('button', { name: 'Note', exact: true }).click();
    await agent.say('How can I help?');
    await visitor.reads('How can I help?');
    assert.deepEqual(await visitor.texts(), ['How can I help?']);
  });
});
