/** Laws of the connection: resume, codes, tokens, moving. */
import { describe, expect, it } from 'vitest';
import { Backoff } from '../src/machine/backoff';
import { subjectOf } from '../src/machine/tokens';
import { Code } from '../src/protocol/reject';
import { tokenFor } from './fake-server';
import { random, Rig } from './rig';

describe('backoff', () => {
  it('waits at most a second first, then at most half a second doubling to twenty', () => {
    const unit = random(7);
    for (let run = 0; run < 200; run++) {
      const backoff = new Backoff();
      const ceilings = [1_000, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000, 20_000];
      for (const ceiling of ceilings) {
        const delay = backoff.next(unit());
        expect(delay).toBeGreaterThanOrEqual(0);
        expect(delay).toBeLessThanOrEqual(ceiling);
      }
    }
  });

  it('spreads evenly: clients that fell together do not come back together', () => {
    const unit = random(8);
    const delays = Array.from({ length: 2_000 }, () => new Backoff().next(unit()));
    for (let tenth = 0; tenth < 10; tenth++) {
      const share = delays.filter(delay => Math.floor(delay / 100) === tenth).length;
      expect(share).toBeGreaterThan(140);
      expect(share).toBeLessThan(260);
    }
  });

  it('adds what the server asks for', () => {
    const backoff = new Backoff();
    expect(backoff.next(0, 5_000)).toBe(5_000);
    expect(backoff.next(0.999, 5_000)).toBeLessThanOrEqual(5_500);
  });
});

describe('the session', () => {
  it('connects, and says how', () => {
    const rig = new Rig().connected();
    expect(rig.states).toEqual(['connecting', 'connected']);
    expect(rig.of('state').at(-1)).toMatchObject({
      transport: 'webtransport',
      node: 'node-a',
      resumed: undefined,
    });
    expect(rig.tokenReasons).toEqual(['connect']);
  });

  it('goes on after a drop with its resume token', () => {
    const rig = new Rig().connected();
    rig.drop();
    rig.advance(1_500);
    expect(rig.states).toEqual(['connecting', 'connected', 'reconnecting', 'connected']);
    expect(rig.of('state').at(-1)?.resumed).toBe('full');
    expect(rig.server.of('Hello').at(-1)?.resume).toEqual(new TextEncoder().encode('session-1'));
    expect(rig.tokenReasons).toEqual(['connect']);
  });

  it('goes on after a reload', () => {
    const rig = new Rig().connected();
    rig.reload();
    rig.connected();
    expect(rig.of('state').at(-1)).toMatchObject({ current: 'connected', resumed: 'full' });
  });

  it('is not resumed for somebody else', () => {
    const rig = new Rig().connected();
    rig.reload();
    rig.token = () => tokenFor('ben');
    rig.connected();
    expect(rig.server.of('Hello').at(-1)?.resume).toBeUndefined();
    expect(rig.machine.me?.user).toBe('ben');
  });

  it('is suspended when the resume window has passed, and comes back all the same', () => {
    const rig = new Rig().connected();
    rig.reachable = false;
    rig.drop();
    rig.advance(130_000);
    expect(rig.machine.connection.state).toBe('suspended');
    rig.server.sessions.clear();
    rig.reachable = true;
    rig.advance(25_000);
    expect(rig.of('state').at(-1)).toMatchObject({
      current: 'connected',
      previous: 'suspended',
      resumed: 'none',
    });
  });

  it('tries again for ever, each time within the bounds, and tells when', () => {
    const rig = new Rig();
    rig.reachable = false;
    rig.connected();
    rig.advance(300_000);
    const gaps = rig.dials.slice(1).map((dial, i) => dial.at - rig.dials[i]!.at);
    expect(gaps.length).toBeGreaterThan(15);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(20_000 + 100);
    expect(new Set(rig.states)).toEqual(new Set(['connecting']));
    expect(
      rig
        .of('state')
        .slice(1)
        .every(change => change.retryIn !== undefined),
    ).toBe(true);
    rig.reachable = true;
    rig.advance(21_000);
    expect(rig.machine.connection.state).toBe('connected');
  });

  it('ends with a goodbye when the user closes it, and does not come back', () => {
    const rig = new Rig().connected();
    rig.do(() => {
      rig.machine.close();
    });
    rig.advance(60_000);
    expect(rig.states.at(-1)).toBe('closed');
    expect(rig.saved).toBeUndefined();
    expect(rig.dials.length).toBe(1);
  });

  it('tries at once when the network is back', () => {
    const rig = new Rig();
    rig.reachable = false;
    rig.connected();
    rig.advance(60_000);
    rig.reachable = true;
    const before = rig.dials.length;
    rig.do(() => {
      rig.machine.connection.wake(rig.now, true);
    });
    expect(rig.dials.length).toBe(before + 1);
    rig.advance(100);
    expect(rig.machine.connection.state).toBe('connected');
  });

  it('rests while the page is hidden for long, and comes back when it is shown', () => {
    const rig = new Rig().connected();
    rig.do(() => {
      rig.machine.connection.hidden(rig.now, true);
    });
    rig.advance(301_000);
    rig.reachable = false;
    rig.drop();
    const before = rig.dials.length;
    rig.advance(600_000);
    expect(rig.dials.length).toBe(before);
    rig.reachable = true;
    rig.do(() => {
      rig.machine.connection.hidden(rig.now, false);
    });
    rig.advance(100);
    expect(rig.machine.connection.state).toBe('connected');
  });

  it('believes no node of an earlier reign', () => {
    const rig = new Rig({ endpoints: ['https://a.example:4433', 'https://b.example:4433'] }).connected();
    rig.server.epoch = 2;
    rig.drop();
    rig.advance(5_000);
    expect(rig.machine.connection.state).toBe('reconnecting');
    expect(new Set(rig.dials.slice(1).map(dial => dial.address.url)).size).toBe(2);
    rig.server.epoch = 4;
    rig.advance(30_000);
    expect(rig.machine.connection.state).toBe('connected');
    expect(rig.saved?.epoch).toBe(4);
  });
});

describe('waits', () => {
  const nodes = { endpoints: ['https://a.example:4433', 'https://b.example:4433'] };
  /** Breaks every connection a moment after its welcome, for ten minutes; how many there were in the last five. */
  const dropped = (rig: Rig): number => {
    const begun = rig.now;
    let drops = 0;
    while (rig.now < begun + 600_000) {
      rig.advance(20);
      if (rig.machine.connection.state !== 'connected') continue;
      rig.advance(60);
      rig.drop();
      if (rig.now >= begun + 300_000) drops += 1;
    }
    return drops;
  };

  it('are as short in the tenth failover in a row as in the first', () => {
    const rig = new Rig(nodes).subscribed();
    for (let round = 0; round < 10; round++) {
      const [dies, takesOver] = round % 2 === 0 ? ['a.example', 'b.example'] : ['b.example', 'a.example'];
      rig.nodes.set(dies, 'gone').set(takesOver, 'gone');
      rig.drop();
      rig.send(`round ${round}`);
      rig.advance(1_600);
      rig.server.epoch += 1;
      rig.nodes.set(takesOver, 'primary');
      rig.advance(600);
      expect(rig.server.texts().length).toBe(round + 1);
      rig.advance(100);
    }
  });

  it('grow where clients are let in and dropped at once', () => {
    const drops = dropped(new Rig(nodes).connected());
    expect(drops).toBeGreaterThanOrEqual(15);
    expect(drops).toBeLessThanOrEqual(60);
  });

  it('grow where a server falls over a message, until it takes it', () => {
    const rig = new Rig(nodes).subscribed();
    rig.server.judge = () => ({ code: Code.RATE_LIMITED, retryAfterMs: 0 });
    rig.server.log();
    rig.send('poison');
    const drops = dropped(rig);
    expect(drops).toBeGreaterThanOrEqual(15);
    expect(drops).toBeLessThanOrEqual(60);
    rig.server.judge = () => 'accept';
    rig.advance(30_000);
    expect(rig.stored.size).toBe(0);
    rig.drop();
    expect(rig.of('state').at(-1)?.retryIn).toBeLessThanOrEqual(500);
  });
});

describe('codes', () => {
  const closing = (
    code: number,
    retryAfterMs = 0,
    endpoint?: string,
  ): Parameters<Rig['server']['control']>[0] => {
    return { type: 'Closing', body: { code, reason: 'why', retryAfterMs, endpoint } };
  };

  it.each([3503, 3504, 3511, 3999])('%i is the end', code => {
    const rig = new Rig().connected();
    rig.server.control(closing(code));
    rig.advance(120_000);
    expect(rig.of('state').at(-1)).toMatchObject({ current: 'failed', code, reason: 'why' });
    expect(rig.dials.length).toBe(1);
  });

  it('3511 takes the session back once when an abandoned attempt of its own may have taken it', () => {
    const rig = new Rig();
    rig.flowing = false;
    rig.connected();
    rig.advance(14_000);
    rig.flowing = true;
    rig.advance(5_000);
    expect(rig.machine.connection.state).toBe('connected');
    rig.server.control(closing(3511));
    rig.advance(5_000);
    expect(rig.of('state').at(-1)).toMatchObject({ current: 'connected', resumed: 'full' });
    rig.server.control(closing(3511));
    rig.advance(60_000);
    expect(rig.of('state').at(-1)).toMatchObject({ current: 'failed', code: 3511 });
  });

  it('3511 is the end when no attempt was abandoned lately, or the server has answered it', () => {
    const rig = new Rig();
    rig.flowing = false;
    rig.connected();
    rig.advance(14_000);
    rig.flowing = true;
    rig.advance(70_000);
    rig.server.control(closing(3511));
    rig.advance(60_000);
    expect(rig.of('state').at(-1)).toMatchObject({ current: 'failed', code: 3511 });

    const answered = new Rig();
    answered.server.refuseHello = () => closing(3013);
    answered.connected();
    answered.server.refuseHello = undefined;
    answered.advance(5_000);
    expect(answered.machine.connection.state).toBe('connected');
    answered.server.control(closing(3511));
    answered.advance(60_000);
    expect(answered.of('state').at(-1)).toMatchObject({ current: 'failed', code: 3511 });
  });

  it.each([3001, 3008, 3399])('%i is worth another try, not before the server allows it', code => {
    const rig = new Rig().connected();
    rig.server.control(closing(code, 7_000));
    rig.advance(6_000);
    expect(rig.machine.connection.state).toBe('reconnecting');
    expect(rig.dials.length).toBe(1);
    rig.advance(3_000);
    expect(rig.machine.connection.state).toBe('connected');
  });

  it('34xx leads to the named node at once, but not round in circles', () => {
    const rig = new Rig().connected();
    rig.server.control(closing(3401, 0, 'b.example:4433'));
    rig.advance(11);
    expect(rig.dials[1]?.address.url).toBe('https://b.example:4433');
    rig.server.refuseHello = () => closing(3401, 0, 'a.example:4433');
    rig.drop();
    rig.advance(20_000);
    expect(rig.dials.length).toBeLessThan(25);
  });

  it('moves to the peer before the old link goes when the node drains', () => {
    const rig = new Rig();
    rig.server.peers = ['b.example:4433'];
    rig.connected();
    rig.server.control({
      type: 'Draining',
      body: { moveAfterMs: 400, deadlineMs: 5_000, endpoint: undefined },
    });
    rig.advance(200);
    expect(rig.dials.length).toBe(1);
    rig.advance(1_000);
    expect(rig.dials[1]?.address.url).toBe('https://b.example:4433');
    expect(rig.states).toEqual(['connecting', 'connected', 'connected']);
    expect(rig.hangUps.map(({ link }) => link)).toEqual([1]);
    expect(rig.hangUps[0]!.at).toBeGreaterThan(rig.dials[1]!.at);
  });
});

describe('tokens', () => {
  it('are refreshed at four fifths of their life, in band', () => {
    const rig = new Rig();
    rig.server.tokenExpiresMs = rig.server.time() + 100_000;
    rig.connected();
    rig.advance(70_000);
    expect(rig.tokenReasons).toEqual(['connect']);
    rig.server.tokenExpiresMs = rig.server.time() + 100_000;
    rig.advance(12_000);
    expect(rig.tokenReasons).toEqual(['connect', 'refresh']);
    expect(rig.of('token.refreshed')).toEqual([{ expires: rig.server.tokenExpiresMs }]);
    expect(rig.states).toEqual(['connecting', 'connected']);
  });

  it('that were refused are replaced once, then the client fails', () => {
    const rig = new Rig().connected();
    rig.server.refuseHello = () => {
      return { type: 'Closing', body: { code: 3500, reason: '', retryAfterMs: 0, endpoint: undefined } };
    };
    rig.drop();
    rig.advance(10_000);
    expect(rig.tokenReasons).toEqual(['connect', 'revoked']);
    expect(rig.of('state').at(-1)).toMatchObject({ current: 'failed', code: 3500 });
  });

  it('that were refused at the very first hello are replaced once too', () => {
    const rig = new Rig();
    let refusals = 0;
    rig.server.refuseHello = () => {
      refusals += 1;
      if (refusals > 1) return undefined;
      return { type: 'Closing', body: { code: 3500, reason: '', retryAfterMs: 0, endpoint: undefined } };
    };
    rig.connected();
    expect(rig.tokenReasons).toEqual(['connect', 'revoked']);
    expect(rig.machine.connection.state).toBe('connected');
  });

  it('that cannot be had do not end a session that can be resumed', () => {
    const rig = new Rig();
    rig.server.tokenExpiresMs = rig.server.time() + 20_000;
    rig.connected();
    rig.token = () => new Error('the back end is down');
    rig.advance(30_000);
    rig.drop();
    rig.advance(2_000);
    expect(rig.of('state').at(-1)).toMatchObject({ current: 'connected', resumed: 'full' });
    expect(rig.server.of('Hello').at(-1)?.token).toBe(tokenFor('ann'));
  });

  it('that will never come end it', () => {
    const rig = new Rig();
    rig.token = () => new Error('no');
    rig.terminalToken = true;
    rig.connected();
    expect(rig.of('state').at(-1)).toMatchObject({ current: 'failed', code: 1101, reason: 'no' });
  });

  it('that come late are waited for with backoff', () => {
    const rig = new Rig();
    rig.token = () => new Error('not now');
    rig.connected();
    expect(rig.machine.connection.state).toBe('connecting');
    rig.token = () => tokenFor('ann');
    rig.advance(20_000);
    expect(rig.machine.connection.state).toBe('connected');
  });

  it('are looked into without trust', () => {
    expect(subjectOf(tokenFor('ann'))).toBe('ann');
    for (const bad of ['', 'a', 'a.b', 'a.!!!.c', `a.${btoa('7')}.c`, `a.${btoa('{"sub":7}')}.c`]) {
      expect(subjectOf(bad)).toBeUndefined();
    }
  });
});
