/** Faults on demand, for those who build applications: they must be survived as the real ones are. */
import assert from 'node:assert/strict';
import { law } from './law.js';

const FOR_MS = 1_500;
/** Each with whether the connection is lost by it. */
const FAULTS = [
  'drop',
  'offline',
  'node_down',
  'slow',
  'path_dead',
  'network_changed',
  'token_refresh',
  'token_expired',
];

export default [
  law(
    'what can be simulated is survived, with nothing lost and nothing doubled',
    ['C-SIMULATE-1'],
    { except: { rust: 'the Rust SDK cannot simulate' } },
    async world => {
      const { subject, other, room } = await world.two();
      for (const fault of FAULTS) {
        subject.mark();
        await subject.do('simulate', { fault, forMs: FOR_MS, delayMs: 200 });
        const [sent] = await subject.say(room, `during ${fault}`);
        const [theirs] = await other.say(room, `meanwhile, ${fault}`);
        await subject.reached([sent], 'accepted', 'mirrored', 'delivered', 'read');
        await subject.hears('message.created', { id: theirs.id });
        subject.never('state', { current: ['failed', 'closed'] });
      }
      const log = await world.agree(room, subject, other);
      assert.equal(log.length, 2 * FAULTS.length);
    },
  ),

  law(
    'a session that is simulated to be taken by another tab is the end of the client',
    ['C-SIMULATE-1', 'C-CODE-3'],
    { except: { rust: 'the Rust SDK cannot simulate' } },
    async world => {
      const subject = await world.join('subject');
      await subject.do('simulate', { fault: 'replaced' });
      const failed = await subject.hears('state', { current: 'failed' });
      assert.equal(failed.code, 3511);
    },
  ),
];
