/** Laws of a client between two nodes: it finds the one that reigns, soon, and nothing is lost or shown twice on the way. */
import { describe, expect, it } from 'vitest';
import { Endpoints, resolve } from '../src/machine/endpoints';
import { covers } from '../src/machine/hosts';
import { CONVERSATION } from './fake-server';
import { type Node, Rig } from './rig';

const A = 'https://a.example:4433';
const B = 'https://b.example:4433';
const LOOK_MS = 5;

function pair(a: Node, b: Node, seed = 1): Rig {
  const rig = new Rig({ seed, endpoints: [A, B] });
  rig.nodes.set('a.example', a).set('b.example', b);
  return rig;
}

/** Connected to A and showing the conversation. */
function showing(seed = 1): Rig {
  const rig = pair('primary', { names: 'a.example:4433' }, seed).subscribed();
  expect(at(rig, A)).toBe(true);
  return rig;
}

function at(rig: Rig, url: string): boolean {
  return rig.machine.connection.state === 'connected' && rig.machine.connection.live?.address.url === url;
}

function promoteB(rig: Rig): void {
  rig.server.epoch += 1;
  rig.nodes.set('b.example', 'primary');
}

/** Lets time pass until `done`; how long that took. */
function until(rig: Rig, mostMs: number, done: () => boolean): number {
  const begun = rig.now;
  while (!done() && rig.now < begun + mostMs) rig.advance(LOOK_MS);
  expect(done(), `not within ${mostMs} ms`).toBe(true);
  return rig.now - begun;
}

function connect(rig: Rig): Rig {
  rig.do(() => {
    rig.machine.connection.connect(rig.now);
  });
  return rig;
}

function close(rig: Rig, code: number, endpoint?: string): void {
  rig.server.control({ type: 'Closing', body: { code, reason: '', retryAfterMs: 0, endpoint } });
}

describe('a redirect', () => {
  it('with an address leads there at once', () => {
    const rig = showing();
    rig.nodes.set('a.example', {});
    close(rig, 3400, 'c.example:4433');
    expect(until(rig, 1_000, () => at(rig, 'https://c.example:4433'))).toBeLessThanOrEqual(100);
    expect(rig.of('state').at(-1)).toMatchObject({ resumed: 'full', endpoint: 'https://c.example:4433' });
  });

  it('without an address leads to the other node at once', () => {
    const rig = showing();
    rig.nodes.set('a.example', {});
    promoteB(rig);
    close(rig, 3401);
    expect(until(rig, 1_000, () => at(rig, B))).toBeLessThanOrEqual(100);
    expect(rig.of('state').at(-1)).toMatchObject({ epoch: 4, resumed: 'full' });
  });

  it('to a host outside of what the application trusts is not followed', () => {
    const rig = showing();
    rig.nodes.set('a.example', { names: 'evil.example.net:1' });
    promoteB(rig);
    close(rig, 3401, 'evil.example.net:1');
    until(rig, 1_000, () => at(rig, B));
    expect(rig.dials.every(({ address }) => [A, B].includes(address.url))).toBe(true);
  });

  it('from each of two nodes to the other does not make a client spin', () => {
    const rig = connect(pair({ names: 'b.example:4433' }, { names: 'a.example:4433' }));
    rig.advance(60_000);
    expect(rig.dials.length).toBeLessThan(60);
    expect(rig.of('state').at(-1)?.code).toBe(3401);
  });

  it('before the end is followed without a gap and without an error', () => {
    const rig = showing();
    rig.server.control({
      type: 'Draining',
      body: { moveAfterMs: 50, deadlineMs: 5_000, endpoint: 'b.example:4433' },
    });
    promoteB(rig);
    rig.advance(20);
    rig.send('on the way');
    until(rig, 1_000, () => at(rig, B));
    until(rig, 500, () => rig.stored.size === 0);
    expect(rig.texts()).toEqual(['on the way']);
    expect(rig.server.texts()).toEqual(['on the way']);
    expect(rig.of('state').every(({ code }) => code === 0)).toBe(true);
    expect(rig.of('error')).toEqual([]);
  });
});

describe('a round', () => {
  it('goes on for as long as both nodes are away, and finds whichever comes back', () => {
    for (const back of [A, B]) {
      const rig = showing();
      rig.nodes.set('a.example', 'gone').set('b.example', 'gone');
      rig.drop();
      rig.advance(1_600);
      expect(rig.dials.filter(({ address }) => address.url === back).length).toBeGreaterThanOrEqual(3);
      rig.nodes.set(new URL(back).hostname, 'primary');
      expect(until(rig, 2_000, () => at(rig, back))).toBeLessThanOrEqual(1_000);
    }
  });

  it('loses less than a second to a swallowed first address, whose dial never says hello', () => {
    const rig = connect(pair('swallowed', 'primary'));
    expect(until(rig, 2_000, () => at(rig, B))).toBeLessThan(1_000);
    expect(rig.hangUps.map(({ link }) => link)).toContain(1);
    expect(rig.server.of('Hello').length).toBe(1);
  });

  it('leaves a node that takes the hello and says nothing for one that answers', () => {
    const rig = connect(pair('mute', 'primary'));
    expect(until(rig, 4_000, () => at(rig, B))).toBeLessThanOrEqual(2_300);
  });

  it('does not believe a node of an earlier reign, after a reload either', () => {
    const first = pair('primary', {});
    first.server.epoch = 7;
    first.connected();
    const rig = new Rig({ endpoints: [A, B], saved: first.saved! });
    rig.nodes.set('a.example', { epoch: 6 });
    rig.server.epoch = 7;
    connect(rig);
    expect(until(rig, 2_000, () => at(rig, B))).toBeLessThanOrEqual(200);
    expect(rig.server.of('Hello').every(({ epochSeen }) => epochSeen === 7)).toBe(true);
  });
});

describe('a failover', () => {
  it('is hardly noticed by a client that writes', () => {
    for (const [seed, needsMs] of [0, 300, 900, 1_300, 1_700, 2_000].entries()) {
      const rig = showing(seed);
      rig.nodes.set('a.example', 'swallowed');
      rig.send('hello?');
      rig.advance(needsMs);
      promoteB(rig);
      const took = needsMs + until(rig, 3_000, () => rig.stored.size === 0);
      expect(took).toBeLessThanOrEqual(Math.max(needsMs, 1_000) + 500);
      expect(rig.states).not.toContain('reconnecting');
      expect(rig.texts()).toEqual(['hello?']);
    }
  });

  it('is noticed by a client that only looks on', () => {
    const rig = showing();
    rig.do(() => {
      rig.machine.connection.clock.attend(rig.now, true);
    });
    rig.advance(1_000);
    rig.nodes.set('a.example', 'swallowed');
    promoteB(rig);
    expect(until(rig, 10_000, () => at(rig, B))).toBeLessThanOrEqual(4_500);
  });

  it('stores a message whose answer was lost in it once, shows it once and acknowledges it', () => {
    const rig = showing();
    rig.server.judge = () => 'silence';
    const id = rig.send('mind the gap');
    rig.advance(15);
    rig.flowing = false;
    rig.advance(10);
    rig.flowing = true;
    rig.nodes.set('a.example', 'swallowed');
    rig.server.judge = () => 'accept';
    rig.advance(1_600);
    promoteB(rig);
    until(rig, 1_000, () => at(rig, B));
    rig.advance(2_000);
    expect(rig.server.texts()).toEqual(['mind the gap']);
    expect(rig.texts()).toEqual(['mind the gap']);
    expect(rig.statuses(id).at(-1)).toBe('accepted');
    expect(rig.of('discontinuity')).toEqual([]);
  });

  it('leaves a node its session that was only slow', () => {
    const rig = showing();
    rig.nodes.set('a.example', 'mute');
    rig.send('slow');
    rig.advance(2_500);
    rig.nodes.set('a.example', 'primary');
    const asked = rig.dials.filter(({ address }) => address.url === B).length;
    expect(asked).toBeGreaterThanOrEqual(3);
    expect(asked).toBeLessThanOrEqual(20);
    rig.advance(10_000);
    expect(at(rig, A)).toBe(true);
    expect(new Set(rig.states.slice(1))).toEqual(new Set(['connected']));
  });

  it('does not make typing flicker', () => {
    const rig = showing();
    const typing = { conversation: CONVERSATION, user: 'ben', version: 9, ttlMs: 6_000 };
    rig.server.control({ type: 'Typing', body: typing });
    rig.advance(50);
    rig.nodes.set('a.example', {});
    promoteB(rig);
    close(rig, 3401);
    until(rig, 1_000, () => at(rig, B));
    expect(rig.of('typing.stopped')).toEqual([]);
    rig.advance(6_000);
    expect(rig.of('typing.stopped').length).toBe(1);
  });
});

describe('a session', () => {
  it('taken by an abandoned hello to the other node is taken back once', () => {
    const rig = connect(pair('mute', 'primary'));
    until(rig, 4_000, () => at(rig, B));
    close(rig, 3511);
    rig.advance(3_000);
    expect(at(rig, B)).toBe(true);
    close(rig, 3511);
    rig.advance(3_000);
    expect(rig.machine.connection.state).toBe('failed');
  });

  it('is not taken back after a hello that was refused', () => {
    const rig = connect(pair('primary', {}));
    until(rig, 1_000, () => at(rig, A));
    close(rig, 3511);
    rig.advance(3_000);
    expect(rig.machine.connection.state).toBe('failed');
  });

  it('knows the peers of its welcome after a reload', () => {
    const rig = new Rig({ endpoints: [A] });
    rig.server.peers = ['b.example:4433', 'evil.example.net:1'];
    rig.connected();
    expect(rig.saved?.peers).toEqual([B]);
    rig.reload();
    rig.nodes.set('a.example', 'gone');
    connect(rig);
    expect(until(rig, 1_000, () => at(rig, B))).toBeLessThanOrEqual(100);
    expect(rig.of('state').at(-1)?.resumed).toBe('full');
  });
});

describe('what reaches the application', () => {
  it('is how safe a message is', () => {
    const rig = showing();
    const id = rig.send('one');
    rig.advance(200);
    expect(rig.machine.conversations.feed(CONVERSATION).timeline.find(id)).toMatchObject({
      status: 'accepted',
      replicas: 1,
    });
  });
});

describe('hosts', () => {
  it('are followed when they are given, siblings of those, or listed, and no others', () => {
    const given = ['a.chat.example.org', 'localhost', '10.0.0.1'];
    const also = ['spare.example.com'];
    const good = ['a.chat.example.org', 'B.chat.example.org', '127.0.0.1', '[::1]', '10.0.0.1', ...also];
    const bad = [
      'evil.org',
      'chat.example.org',
      'b.evil.chat.example.org',
      '10.0.0.2',
      '',
      'other.example.com',
    ];
    for (const host of good) expect(covers(given, also, host), host).toBe(true);
    for (const host of bad) expect(covers(given, also, host), host).toBe(false);
    expect(covers(['chat.org'], [], 'evil.org')).toBe(false);
  });

  it('that gave no answer come last, one that was named first', () => {
    const endpoints = new Endpoints([A, B].map(resolve), ['c.example']);
    const urls = (): string[] => endpoints.round().map(({ url }) => url);
    expect(urls()).toEqual([A, B]);
    endpoints.failed([B]);
    expect(urls()).toEqual([A, B]);
    endpoints.succeeded(resolve(A), []);
    endpoints.leave();
    endpoints.aim(endpoints.named('c.example:4433'));
    expect(urls()).toEqual(['https://c.example:4433', B, A]);
  });
});
