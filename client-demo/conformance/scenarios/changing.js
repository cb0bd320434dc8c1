/** What changes a message that is there: edits, deletions, reactions; and notes that visitors never see. */
import assert from 'node:assert/strict';
import { law } from './law.js';

const NOT_YET = { rust: 'the agent for Rust does not drive it yet' };

/** A message of the subject that both have, with its place. */
async function said(subject, other, room, text) {
  const [{ id }] = await subject.say(room, text);
  const { seq } = await other.hears('message.created', { id });
  await subject.reached([{ id }], 'accepted', 'mirrored', 'delivered', 'read');
  return { id, seq };
}

export default [
  law(
    'an edit is shown at once, told to everybody once, and is there for who comes later',
    ['C-CHANGE-1', 'C-CHANGE-2'],
    { except: NOT_YET },
    async world => {
      const { subject, other, room } = await world.two();
      const { id, seq } = await said(subject, other, room, 'teh parcel');
      const reader = await world.join('reader');
      await subject.do('add_members', { conversation: room, members: ['reader'] });
      await reader.do('subscribe', { conversation: room });
      subject.mark();
      reader.mark();
      await subject.do('edit', { conversation: room, seq, text: 'the parcel' });
      const own = subject.told('message.updated', { id, change: 'edited' });
      assert.equal(own[0].text, 'the parcel');
      assert.equal(own[0].pending, true, 'before the server has it');
      const told = await reader.hears('message.updated', { id, change: 'edited', live: true });
      assert.deepEqual([told.text, told.by], ['the parcel', 'subject']);
      const late = await world.join('late');
      await subject.do('add_members', { conversation: room, members: ['late'] });
      await late.do('subscribe', { conversation: room });
      assert.equal(late.heard.findLast(line => line.id === id)?.text, 'the parcel');
      assert.equal(reader.told('message.updated', { id }).length, 1);
    },
  ),

  law(
    'a deleted message has no content any more, for nobody',
    ['C-CHANGE-3'],
    { except: NOT_YET },
    async world => {
      const { subject, other, room } = await world.two();
      const { id, seq } = await said(subject, other, room, 'a secret');
      const reader = await world.join('reader');
      await subject.do('add_members', { conversation: room, members: ['reader'] });
      await reader.do('subscribe', { conversation: room });
      await subject.do('delete', { conversation: room, seq });
      const told = await reader.hears('message.updated', { id, change: 'deleted' });
      assert.deepEqual([told.deleted, told.text], [true, '']);
      const page = await reader.do('history', { conversation: room, before: 1_000, limit: 50 });
      assert.ok(!JSON.stringify(page).includes('a secret'));
    },
  ),

  law(
    'a reaction is counted once for each user, and can be taken back',
    ['C-CHANGE-4'],
    { except: NOT_YET },
    async world => {
      const { subject, other, room } = await world.two();
      const { id, seq } = await said(other, subject, room, 'well done');
      for (const on of [true, true]) await subject.do('react', { conversation: room, seq, emoji: '👍', on });
      const last = () => subject.told('message.updated', { id, change: 'reacted', pending: false }).at(-1);
      await subject.until(
        'one reaction',
        () => JSON.stringify(last()?.reactions) === '[{"emoji":"👍","users":["subject"]}]',
      );
      await subject.do('react', { conversation: room, seq, emoji: '👍', on: false });
      await subject.until('none', () => last()?.reactions.length === 0);
    },
  ),

  law(
    'a change that is made without a connection waits, and is carried out once',
    ['C-CHANGE-5'],
    { except: NOT_YET },
    async world => {
      const { subject, other, room } = await world.two();
      const { id, seq } = await said(subject, other, room, 'befor');
      await world.server.kill();
      await subject.hears('state', { current: 'reconnecting' });
      const edited = subject.do('edit', { conversation: room, seq, text: 'before' });
      await subject.hears('message.updated', { id, change: 'edited', pending: true, text: 'before' });
      await world.server.restart();
      await edited;
      const late = await world.join('late');
      await subject.do('add_members', { conversation: room, members: ['late'] });
      await late.do('subscribe', { conversation: room });
      assert.equal(late.heard.findLast(line => line.id === id)?.text, 'before');
    },
  ),

  law('a note among staff is never told to a visitor', ['C-CHANGE-6'], { except: NOT_YET }, async world => {
    const [visitor, subject] = await Promise.all([
      world.join('visitor', { role: 'visitor' }),
      world.join('subject'),
    ]);
    const { conversation } = await visitor.do('create', { kind: 'support' });
    await subject.do('assign', { conversation });
    await Promise.all([visitor, subject].map(one => one.do('subscribe', { conversation })));
    const { id } = await subject.do('note', { conversation, text: 'a difficult one' });
    await subject.reached([{ id }], 'accepted', 'mirrored', 'delivered', 'read');
    await subject.say(conversation, 'How can I help?');
    await visitor.hears('message.created', { text: 'How can I help?' });
    assert.ok(!JSON.stringify(visitor.heard).includes('a difficult one'));
    const page = await visitor.do('history', { conversation, before: 1_000, limit: 50 });
    assert.ok(!JSON.stringify(page).includes('a difficult one'));
  }),
];
