/** Laws of resume: after whatever gap, every event is told once, in order, or it is said which conversation has a hole. */
import { describe, expect, it } from 'vitest';
import { CONVERSATION } from './fake-server';
import { Rig } from './rig';

const OTHER = '019a7b0d-7e00-7abc-8def-0102030405ff';
const MISSED = 5_000;

function subscribe(rig: Rig, conversation: string): void {
  rig.call(call => {
    rig.machine.conversations.feed(conversation).subscribe(rig.now, {}, call);
  });
  rig.advance(500);
}

/** Is away while `count` messages are written. */
function miss(rig: Rig, count: number, conversation = CONVERSATION): void {
  rig.reachable = false;
  rig.drop();
  for (let i = 1; i <= count; i++) rig.server.say('ben', `missed ${i}`, undefined, conversation);
  rig.reachable = true;
}

/** The texts that were told as created, in the order of telling. */
function told(rig: Rig): string[] {
  return rig.of('message.created').map(({ message }) => message.text);
}

const missedTexts = Array.from({ length: MISSED }, (_, i) => `missed ${i + 1}`);

// Thousands of frames take a while on a busy machine.
describe('a resumed session', { timeout: 60_000 }, () => {
  it('tells five thousand missed messages, each once and in order', () => {
    const rig = new Rig().subscribed();
    miss(rig, MISSED);
    rig.advance(30_000);
    expect(told(rig)).toEqual(missedTexts);
    expect(rig.of('state').at(-1)).toMatchObject({ current: 'connected', resumed: 'full', missing: [] });
    expect(rig.of('discontinuity')).toEqual([]);
    expect(rig.texts()).toEqual(missedTexts.slice(-2_000));
  });

  it('tells them so when the connection breaks again and again on the way', () => {
    const rig = new Rig({ seed: 5 }).subscribed();
    miss(rig, 2_000);
    for (let part = 0; part < 20; part++) {
      // Each connection brings a part only: the rest is lost on the way.
      rig.frames = 50 + Math.floor(rig.unit() * 80);
      rig.advance(1_200);
      rig.drop();
    }
    rig.frames = Infinity;
    rig.advance(30_000);
    expect(told(rig)).toEqual(missedTexts.slice(0, 2_000));
    expect(rig.of('discontinuity')).toEqual([]);
  });

  it('has the rest in history where the server begins later: pages without a hole', () => {
    const rig = new Rig().subscribed();
    rig.server.backlogMax = 200;
    miss(rig, MISSED);
    rig.advance(5_000);
    expect(rig.of('discontinuity').map(({ conversation }) => conversation)).toEqual([CONVERSATION]);
    expect(rig.of('state').at(-1)).toMatchObject({
      current: 'connected',
      previous: 'connected',
      resumed: 'partial',
      missing: [CONVERSATION],
    });
    const feed = rig.machine.conversations.feed(CONVERSATION);
    const pages: string[] = [];
    for (let first = feed.timeline.first ?? 0; first > 1;) {
      const call = rig.call(number => {
        rig.machine.history(rig.now, CONVERSATION, { type: 'before', value: first }, 500, number);
      });
      rig.advance(100);
      const { entries } = rig.answers.get(call)?.value as { entries: { seq: number; text: string }[] };
      pages.unshift(...entries.map(({ text }) => text));
      first = entries[0]!.seq;
    }
    expect([...pages, ...rig.texts().slice(-200)]).toEqual(missedTexts);
  });

  it('says which conversations could not go on, and only those, once all have answered', () => {
    const rig = new Rig().subscribed();
    subscribe(rig, OTHER);
    rig.server.backlogMax = 10;
    miss(rig, 20, OTHER);
    rig.server.say('ben', 'short');
    rig.advance(5_000);
    const outcomes = rig.of('state').map(({ resumed, missing }) => [resumed, ...missing]);
    expect(outcomes.slice(-2)).toEqual([['full'], ['partial', OTHER]]);
    expect(rig.texts()).toEqual(['short']);
    miss(rig, 5, OTHER);
    rig.advance(5_000);
    expect(rig.of('state').at(-1)).toMatchObject({ resumed: 'full', missing: [] });
  });

  it('counts a conversation that is refused now among the missing', () => {
    const rig = new Rig().subscribed();
    rig.server.refuseOpen = conversation => (conversation === CONVERSATION ? 1104 : undefined);
    rig.drop();
    rig.advance(5_000);
    expect(rig.of('state').at(-1)).toMatchObject({ resumed: 'partial', missing: [CONVERSATION] });
    expect(rig.of('error').map(({ code }) => code)).toEqual([1104]);
  });

  it('that is gone says none, and its conversations go on all the same', () => {
    const rig = new Rig().subscribed();
    rig.server.say('ben', 'one');
    rig.advance(100);
    rig.server.sessions.clear();
    miss(rig, 3);
    rig.advance(5_000);
    expect(rig.of('state').at(-1)).toMatchObject({ current: 'connected', resumed: 'none' });
    expect(told(rig)).toEqual(['one', 'missed 1', 'missed 2', 'missed 3']);
  });

  it('goes on after a reload', () => {
    const rig = new Rig().subscribed();
    rig.reload();
    rig.subscribed();
    expect(rig.of('state').at(-1)).toMatchObject({ current: 'connected', resumed: 'full' });
  });
});
