/** Laws of silence: a server that is gone is noticed, soon while somebody looks on, and only by those who listened. */
import { describe, expect, it } from 'vitest';
import { LIMITS } from './fake-server';
import { Rig } from './rig';

/** How long an unattended client may take to notice, by its own constants and the server's pace. */
const UNATTENDED_MS = LIMITS.pingEveryMs + 10_000;
/** The same while somebody looks on: three seconds of quiet, four for an answer. */
const ATTENDED_MS = 7_000;

function attended(rig: Rig): Rig {
  rig.do(() => {
    rig.machine.idle(rig.now, false);
  });
  rig.advance(1_000);
  return rig;
}

describe('silence', () => {
  it('is noticed, and the client comes back', () => {
    const rig = new Rig().connected();
    rig.flowing = false;
    rig.advance(UNATTENDED_MS);
    expect(rig.states).toContain('reconnecting');
    rig.flowing = true;
    rig.advance(30_000);
    expect(rig.machine.connection.state).toBe('connected');
  });

  it('is noticed within seconds while somebody looks on, whenever it begins', () => {
    for (let after = 0; after < 12_000; after += 700) {
      const rig = attended(new Rig().connected());
      rig.advance(after);
      rig.flowing = false;
      rig.advance(ATTENDED_MS);
      expect(rig.states.at(-1), `silent after ${after} ms`).toBe('reconnecting');
    }
  });

  it('is noticed within seconds on every connection, and soon after somebody has come back', () => {
    const rig = attended(new Rig().connected());
    rig.drop();
    rig.advance(5_000);
    rig.flowing = false;
    rig.advance(ATTENDED_MS);
    expect(rig.states.at(-1)).toBe('reconnecting');
    rig.flowing = true;
    rig.advance(30_000);

    rig.do(() => {
      rig.machine.idle(rig.now, true);
    });
    rig.advance(60_000);
    rig.flowing = false;
    rig.do(() => {
      rig.machine.idle(rig.now, false);
    });
    rig.advance(4_000);
    expect(rig.states.at(-1)).toBe('reconnecting');
  });

  it('costs a ping every few seconds while somebody looks on, else one at the pace of the server, and none beside traffic', () => {
    const rig = new Rig().connected();
    const pings = (ms: number, each?: () => void): number => {
      const before = rig.server.of('Ping').length;
      for (let passed = 0; passed < ms; passed += 500) {
        each?.();
        rig.advance(500);
      }
      return rig.server.of('Ping').length - before;
    };
    expect(pings(60_000)).toBeLessThanOrEqual(6);
    attended(rig);
    expect(pings(60_000)).toBeLessThanOrEqual(20);
    const busy = pings(60_000, () => {
      rig.server.control({ type: 'Pong', body: { nonce: 0n, serverTimeMs: rig.server.time() } });
    });
    expect(busy).toBeLessThanOrEqual(6);
  });

  it('proves nothing to a page that slept: what came meanwhile is read first', () => {
    const rig = attended(new Rig().connected());
    rig.flowing = false;
    rig.advance(3_500);
    rig.flowing = true;
    // Timers of a hidden page come up to a minute late, and may come before what the network has brought.
    rig.now += 60_000;
    rig.do(() => {
      rig.machine.tick(rig.now);
    });
    expect(rig.states.at(-1)).toBe('connected');
    rig.server.control({ type: 'Pong', body: { nonce: 0n, serverTimeMs: rig.server.time() } });
    rig.advance(100);
    rig.now += 60_000;
    rig.do(() => {
      rig.machine.tick(rig.now);
    });
    expect(rig.states.at(-1)).toBe('connected');
  });

  it('is noticed by a page whose timers always come late', () => {
    const rig = attended(new Rig().connected());
    rig.flowing = false;
    for (let minute = 0; minute < 3; minute++) {
      rig.now += 60_000;
      rig.do(() => {
        rig.machine.tick(rig.now);
      });
    }
    expect(rig.states).toContain('reconnecting');
  });
});
