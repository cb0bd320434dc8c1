/**
 * Laws of moving: whatever makes a client change its connection, the new one stands before the old one goes, and the application sees
 * neither a gap, nor a repetition, nor another state than `connected`.
 */
import { describe, expect, it } from 'vitest';
import type { Draining } from '../src/protocol/delivery';
import { CONVERSATION } from './fake-server';
import { Rig } from './rig';

const A = 'https://a.example:4433';
const B = 'https://b.example:4433';

/** Somebody speaks every 20 ms, and the user every 200 ms, for `ms`; both sides are then the same, once each, in order. */
function chatThrough(rig: Rig, ms: number, event: () => void): void {
  const own: string[] = [];
  for (let passed = 0; passed < ms; passed += 20) {
    if (passed === 500) event();
    rig.server.say('ben', `ben ${passed}`);
    if (passed % 200 === 0) {
      own.push(`ann ${passed}`);
      rig.send(`ann ${passed}`);
    }
    rig.advance(20);
  }
  rig.advance(3_000);
  expect(rig.texts()).toEqual(rig.server.texts());
  expect(rig.texts().filter(text => text.startsWith('ann'))).toEqual(own);
  const told = rig.of('message.created').map(({ message }) => message.id);
  expect(new Set(told).size, 'each message is told once').toBe(told.length);
  expect(rig.of('discontinuity')).toEqual([]);
  expect(rig.stored.size, 'nothing waits').toBe(0);
}

function expectNoGap(rig: Rig): void {
  expect(new Set(rig.states.slice(1))).toEqual(new Set(['connected']));
  expect(rig.of('state').at(-1)).toMatchObject({ current: 'connected', resumed: 'full', missing: [] });
}

function moved(rig: Rig): void {
  rig.do(() => {
    rig.machine.connection.wake(rig.now, true);
  });
}

function drain(rig: Rig, body: Partial<Draining> = {}): void {
  const whole = { moveAfterMs: 300, deadlineMs: 10_000, endpoint: undefined, ...body };
  rig.server.control({ type: 'Draining', body: whole });
}

describe('a client moves without a gap', () => {
  it('when its network changes', () => {
    const rig = new Rig().subscribed();
    const before = rig.link;
    chatThrough(rig, 3_000, () => {
      moved(rig);
    });
    expect(rig.link).not.toBe(before);
    expect(rig.dials.map(({ address }) => address.url)).toEqual([A, A]);
    expectNoGap(rig);
  });

  it('when its network changes and the old path died with it', () => {
    const rig = new Rig().subscribed();
    chatThrough(rig, 3_000, () => {
      rig.stalled.add(rig.link);
      moved(rig);
    });
    expectNoGap(rig);
  });

  it('when its network changes again and again', () => {
    const rig = new Rig().subscribed();
    chatThrough(rig, 4_000, () => {
      for (let i = 0; i < 10; i++) {
        moved(rig);
        rig.advance(7 * i);
      }
    });
    expectNoGap(rig);
  });

  it('when its path dies without a word', () => {
    const rig = new Rig().subscribed();
    const before = rig.link;
    chatThrough(rig, 6_000, () => {
      rig.stalled.add(rig.link);
    });
    expect(rig.link).not.toBe(before);
    expectNoGap(rig);
  });

  it('when its path dies while it only looks on', () => {
    const rig = new Rig().subscribed();
    rig.do(() => {
      rig.machine.idle(rig.now, false);
    });
    rig.advance(1_000);
    rig.stalled.add(rig.link);
    rig.server.say('ben', 'into the void');
    rig.advance(6_000);
    expect(rig.texts()).toEqual(['into the void']);
    expectNoGap(rig);
  });

  it('when its path to the reigning node of a pair dies, and the other one only names that', () => {
    const rig = new Rig({ endpoints: [A, B] });
    rig.nodes.set('b.example', { names: 'a.example:4433' });
    rig.subscribed();
    chatThrough(rig, 6_000, () => {
      rig.stalled.add(rig.link);
    });
    expect(rig.machine.connection.live?.address.url).toBe(A);
    expectNoGap(rig);
  });

  it('when the node asks it to, to the place that is named', () => {
    const rig = new Rig().subscribed();
    chatThrough(rig, 3_000, () => {
      drain(rig, { endpoint: 'b.example:4433' });
    });
    expect(rig.machine.connection.live?.address.url).toBe(B);
    expectNoGap(rig);
  });

  it('when the node asks it to before the other one reigns: it asks again', () => {
    const rig = new Rig({ endpoints: [A, B] });
    rig.nodes.set('b.example', { names: 'a.example:4433' });
    rig.subscribed();
    chatThrough(rig, 4_000, () => {
      drain(rig);
      rig.advance(2_000);
      rig.nodes.set('b.example', 'primary');
    });
    expect(rig.machine.connection.live?.address.url).toBe(B);
    expectNoGap(rig);
  });

  it('in its slot, not before', () => {
    const rig = new Rig({ endpoints: [A, B] }).subscribed();
    drain(rig, { moveAfterMs: 5_000 });
    rig.advance(4_900);
    expect(rig.dials.length).toBe(1);
    rig.advance(500);
    expect(rig.machine.connection.live?.address.url).toBe(B);
    expectNoGap(rig);
  });

  it('but not when the browser says that there is no network', () => {
    const rig = new Rig().subscribed();
    rig.machine.connection.online(false);
    rig.stalled.add(rig.link);
    rig.send('later');
    rig.advance(3_500);
    expect(rig.dials.length).toBe(1);
  });

  it('over and over on a bad network, whatever happens when', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const rig = new Rig({ seed, endpoints: [A, B] }).subscribed();
      for (let step = 0; step < 60; step++) {
        const dice = Math.floor(rig.unit() * 12);
        if (dice === 0) rig.stalled.add(rig.link);
        else if (dice === 1) moved(rig);
        else if (dice === 2) drain(rig, { moveAfterMs: Math.floor(rig.unit() * 500) });
        else if (dice === 3) rig.drop();
        if (rig.unit() < 0.5) rig.send(`ann ${step}`);
        else rig.server.say('ben', `ben ${step}`);
        rig.advance(Math.floor(rig.unit() * 400));
      }
      rig.advance(60_000);
      expect(rig.texts(), `seed ${seed}`).toEqual(rig.server.texts());
      const told = rig.of('message.created').map(({ message }) => message.id);
      expect(new Set(told).size, `seed ${seed}`).toBe(told.length);
      expect(rig.stored.size, `seed ${seed}`).toBe(0);
    }
  });
});

describe('a client on a lesser carrier', () => {
  it('looks for a better one, ever less often, and moves to it without a gap', () => {
    const rig = new Rig();
    rig.transport = 'websocket';
    rig.subscribed();
    rig.advance(1_800_000);
    const probes = rig.dials.filter(({ above }) => above === 'websocket').map(({ at }) => at);
    expect(probes.length).toBeGreaterThanOrEqual(4);
    expect(probes.length).toBeLessThanOrEqual(10);
    expect(probes[0]! - rig.dials[0]!.at).toBeLessThanOrEqual(40_000);
    expect(rig.states).toEqual(['connecting', 'connected']);
    rig.betterStands = true;
    rig.advance(900_000);
    expect(rig.machine.connection.live?.transport).toBe('webtransport');
    chatThrough(rig, 1_000, () => undefined);
    expectNoGap(rig);
    const before = rig.dials.length;
    rig.advance(1_800_000);
    expect(rig.dials.length).toBe(before);
  });
});

describe('a move that comes to nothing', () => {
  it('leaves everything as it is', () => {
    const rig = new Rig().subscribed();
    const before = rig.link;
    rig.reachable = false;
    moved(rig);
    rig.advance(5_000);
    expect(rig.link).toBe(before);
    expect(rig.states).toEqual(['connecting', 'connected']);
  });

  it('does not hide that another tab has taken the session', () => {
    const rig = new Rig().subscribed();
    rig.server.refuseHello = () => {
      return { type: 'Closing', body: { code: 3013, reason: '', retryAfterMs: 0, endpoint: undefined } };
    };
    moved(rig);
    rig.advance(15);
    const body = { code: 3511, reason: '', retryAfterMs: 0, endpoint: undefined };
    rig.server.tell(rig.link, { type: 'Closing', body });
    rig.advance(5_000);
    expect(rig.of('state').at(-1)).toMatchObject({ current: 'failed', code: 3511 });
  });

  it('is a loss when the old link was ended for it and the new one never answers', () => {
    const rig = new Rig().subscribed();
    moved(rig);
    rig.advance(12);
    const second = rig.dials.at(-1)!.link;
    rig.stalled.add(second);
    const body = { code: 3400, reason: '', retryAfterMs: 0, endpoint: undefined };
    rig.server.tell(rig.link, { type: 'Closing', body });
    rig.advance(1_000);
    expect(rig.machine.connection.state).toBe('connected');
    rig.advance(20_000);
    expect(rig.states).toContain('reconnecting');
    expect(rig.machine.connection.state).toBe('connected');
    rig.send('all is well', CONVERSATION);
    rig.advance(500);
    expect(rig.texts()).toEqual(['all is well']);
  });
});
