/** Laws of simulated faults: what each does to a client that is otherwise well. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Client } from '../src/client';
import { type Fault, type FaultOptions, simulate } from '../src/simulate';
import { FakeHttp } from './fake-http';
import { CONVERSATION, tokenFor } from './fake-server';

let http: FakeHttp;
let client: Client;
let states: string[];
let reasons: string[];

beforeEach(async () => {
  vi.useFakeTimers();
  http = new FakeHttp();
  vi.stubGlobal('fetch', http.fetch);
  states = [];
  reasons = [];
  client = new Client(['http://a.example', 'http://b.example'], {
    getToken: ({ reason }) => {
      reasons.push(reason);
      return tokenFor('ann');
    },
    transports: ['sse', 'poll'],
    persist: false,
  });
  client.on('state', ({ current }) => states.push(current));
  client.connect();
  void client.conversation(CONVERSATION).subscribe();
  await pass(3_000);
  states.length = 0;
});
afterEach(async () => {
  void client.close();
  await vi.advanceTimersByTimeAsync(1_000);
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

async function during(fault: Fault, ms: number, options?: FaultOptions): Promise<void> {
  const begun = simulate(client, fault, options);
  http.server.say('ben', fault);
  await pass(ms);
  begun.end();
  await pass(40_000);
  expect(client.conversation(CONVERSATION).messages.map(({ text }) => text)).toEqual([fault]);
  expect(client.state).toBe('connected');
}

describe('a simulated fault', () => {
  it.each(['drop', 'offline', 'node_down', 'blackhole'] as const)(
    '%s ends, and all is well again',
    async fault => {
      await during(fault, 30_000);
      expect(states).toContain('reconnecting');
    },
  );

  it('slow delays, and loses nothing', async () => {
    await during('slow', 500, { delayMs: 800 });
    expect(states).toEqual([]);
  });

  it('path_dead, network_changed and drain are survived without another state', async () => {
    client.availability.idle(false);
    await during('path_dead', 10_000);
    expect(new Set(states)).toEqual(new Set(['connected']));
    states.length = 0;
    simulate(client, 'network_changed');
    await pass(3_000);
    expect(states).toEqual(['connected']);
    const before = client.info.endpoint;
    simulate(client, 'drain');
    await pass(3_000);
    expect(states).toEqual(['connected', 'connected']);
    expect(client.info.endpoint).not.toBe(before);
  });

  it('token_expired and token_refresh ask for another token', async () => {
    await during('token_expired', 5_000);
    expect(reasons).toEqual(['connect', 'revoked']);
    simulate(client, 'token_refresh');
    await pass(1_000);
    expect(reasons).toEqual(['connect', 'revoked', 'refresh']);
    expect(http.server.of('Authenticate').length).toBe(1);
  });

  it('replaced is the end', async () => {
    simulate(client, 'replaced');
    await pass(10_000);
    expect(states.at(-1)).toBe('failed');
  });

  it('ends by itself after its time', async () => {
    simulate(client, 'offline', { forMs: 5_000 });
    await pass(4_000);
    expect(client.state).toBe('reconnecting');
    await pass(30_000);
    expect(client.state).toBe('connected');
  });

  it('is not to be had for who did not ask in time', () => {
    expect(() => simulate({}, 'drop')).toThrow('before the client is made');
  });
});
