/** Laws of calls: each comes to exactly one end, and what a service says is not mistaken for what the server says. */
import { describe, expect, it } from 'vitest';
import type { Client } from '../src/client';
import { DuetError, ServiceFailure } from '../src/errors';
import type { Outcome } from '../src/protocol/call';
import { Browser } from './page';

async function connected(browser: Browser): Promise<Client> {
  const { client } = browser.page();
  await client.ready();
  return client;
}

async function asked(browser: Browser): Promise<number> {
  await expect.poll(() => browser.server.calls.length).toBeGreaterThan(0);
  return browser.server.calls.shift()?.request ?? 0;
}

function answer(browser: Browser, request: number, outcome: Outcome): void {
  browser.server.control({ type: 'Answered', body: { request, outcome } });
}

describe('a call', () => {
  it('brings the answer, or the service’s own no', async () => {
    const browser = new Browser();
    const client = await connected(browser);
    const orders = client.call('orders.find', { id: 7 });
    const value = new TextEncoder().encode('{"total":42}');
    answer(browser, await asked(browser), { type: 'returned', value });
    expect((await orders).json()).toEqual({ total: 42 });

    const refused = client.call('orders.cancel', Uint8Array.of(1));
    const failure = { code: 1104, message: 'too late' };
    answer(browser, await asked(browser), { type: 'failed', value: failure });
    await expect(refused).rejects.toMatchObject({ failure: 1104, message: 'too late', code: 0 });
    await client.close();
  });

  it('is not made again when its connection broke, and not at all where none are passed on', async () => {
    const browser = new Browser();
    const client = await connected(browser);
    const lost = client.call('orders.find', null);
    await asked(browser);
    browser.drop();
    await expect(lost).rejects.toBeInstanceOf(DuetError);
    await client.ready();
    expect(browser.server.of('Call').length).toBe(1);
    browser.server.capabilities = 1n;
    browser.drop();
    await client.ready();
    await expect(client.call('orders.find', null)).rejects.toMatchObject({ code: 1152 });
    await client.close();
  });
});

describe('a service', () => {
  it('answers what it serves, on every connection, and tells nobody what went wrong inside', async () => {
    const browser = new Browser();
    const client = await connected(browser);
    const served = client.serve({
      double: question => ({ twice: 2 * (question.json() as number) }),
      refuse: () => {
        throw new ServiceFailure(7, 'not today');
      },
      break: () => {
        throw new Error('password is hunter2');
      },
    });
    await expect.poll(() => browser.server.of('Serve').length).toBe(1);
    const { request, methods } = browser.server.of('Serve')[0]!;
    browser.server.control({ type: 'Done', body: { request } });
    await served;
    expect(methods).toEqual(['double', 'refuse', 'break']);
    methods.forEach((method, i) => {
      const rest = { user: 'ben', role: 'visitor', body: Uint8Array.of(0x34), timeoutMs: 1_000 } as const;
      browser.server.control({ type: 'CallAsked', body: { call: i + 1, method, ...rest } });
    });
    await expect.poll(() => browser.server.of('Answer').length).toBe(3);
    const outcomes = new Map(browser.server.of('Answer').map(({ call, outcome }) => [call, outcome]));
    expect(outcomes.get(1)).toEqual({ type: 'returned', value: new TextEncoder().encode('{"twice":8}') });
    expect(outcomes.get(2)).toEqual({ type: 'failed', value: { code: 7, message: 'not today' } });
    expect(outcomes.get(3)).toEqual({ type: 'failed', value: { code: 500, message: 'the service failed' } });
    browser.drop();
    await client.ready();
    await expect.poll(() => browser.server.of('Serve').length).toBe(2);
    await client.close();
  });
});
