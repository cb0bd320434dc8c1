/** What is refused, with which code, and that the connection stays. */
import assert from 'node:assert/strict';
import { law } from './law.js';

const NOWHERE = '019a7afd-1e00-7abc-8def-010203040506';

export default [
  law('what is refused says why, and the connection stays', ['C-CODE-1'], {}, async world => {
    const { subject, room } = await world.two();
    subject.mark();
    await assert.rejects(subject.do('subscribe', { conversation: NOWHERE }), { code: 1104 });
    await assert.rejects(subject.do('create', { kind: 'group', members: ['nobody-at-all'] }), { code: 1104 });
    await assert.rejects(subject.do('history', { conversation: NOWHERE, limit: 5 }), { code: 1104 });
    await assert.rejects(subject.do('send', { conversation: room, text: 'x'.repeat(20_000) }), {
      code: 1130,
    });
    const visitor = await world.join('visitor', { role: 'visitor' });
    await assert.rejects(visitor.do('create', { kind: 'group', members: ['subject'] }), { code: 1103 });
    subject.never('state');
    const [sent] = await subject.say(room, 'still here');
    await subject.reached([sent], 'accepted', 'delivered', 'read');
  }),

  law('a member who is taken out is told, and hears nothing more', ['C-CODE-4'], {}, async world => {
    const { subject, other, room } = await world.two();
    const owner = await world.join('owner', { direct: true, role: 'supervisor' });
    const { conversation } = await owner.do('create', { kind: 'group', members: ['subject', 'other'] });
    await owner.do('subscribe', { conversation });
    await Promise.all([subject, other].map(one => one.do('subscribe', { conversation })));
    subject.mark();
    await owner.do('remove_member', { conversation, user: 'subject' });
    await subject.until('the end of the subscription', () => {
      return (
        subject.told('conversation.closed', { conversation, code: 2001 })[0] ??
        subject.told('error', { code: 2001 })[0]
      );
    });
    await owner.say(conversation, 'without you');
    await other.hears('message.created', { text: 'without you' });
    const [still] = await subject.say(room, 'elsewhere I am');
    await subject.reached([still], 'accepted', 'delivered', 'read');
    subject.never('message.created', { text: 'without you' });
  }),

  law('more pages at a time than the server gives are all read', ['C-LIMIT-1'], {}, async world => {
    const { subject, other, room } = await world.two();
    const sent = await other.say(room, 'a', 'b', 'c');
    await other.reached(sent, 'accepted', 'delivered', 'read');
    const pages = await Promise.all(
      Array.from({ length: 12 }, () =>
        subject.do('history', { conversation: room, before: 1_000, limit: 3 }),
      ),
    );
    for (const { entries } of pages) assert.equal(entries.length, 3);
    subject.never('state', { current: 'reconnecting' });
  }),
];
