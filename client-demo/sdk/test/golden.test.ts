/** The golden bytes that every language reproduces: each vector is decoded, compared and encoded again. */
import { describe, expect, it } from 'vitest';
import rustCodes from '../../../crates/protocol/src/reject.rs?raw';
import carrierVectors from '../../../crates/protocol/vectors/carriers.json';
import eventVectors from '../../../crates/protocol/vectors/events.json';
import frameVectors from '../../../crates/protocol/vectors/frames.json';
import hostileVectors from '../../../crates/protocol/vectors/hostile.json';
import { type Codec, CodecError, encode } from '../src/protocol/codec';
import { COMMANDS, decodeCommand, encodeCommand } from '../src/protocol/command';
import { decodeDelivery, DELIVERIES, encodeDelivery } from '../src/protocol/delivery';
import { decodeEventBody, EVENT_BODIES } from '../src/protocol/event';
import {
  type Frame,
  FrameDecoder,
  framed,
  FrameError,
  fromDatagram,
  unwrapped,
  wrapped,
} from '../src/protocol/frame';
import { Code, CODES } from '../src/protocol/reject';

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], digits => parseInt(digits, 16));
}

function hex(value: Uint8Array): string {
  return Array.from(value, byte => byte.toString(16).padStart(2, '0')).join('');
}

function lowerCamel(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1);
}

/** Compares a decoded value with its form in the vectors; returns where they differ. */
function difference(actual: unknown, expected: unknown, at = ''): string | undefined {
  if (actual instanceof Uint8Array) return hex(actual) === expected ? undefined : at;
  if (typeof actual === 'bigint') return actual.toString() === expected ? undefined : at;
  if (typeof actual === 'number') return String(actual) === String(expected) ? undefined : at;
  if (actual === undefined) return expected === null ? undefined : at;
  if (typeof actual !== 'object' || actual === null) return actual === expected ? undefined : at;
  if (Array.isArray(actual)) {
    if (!Array.isArray(expected) || actual.length !== expected.length) return at;
    return actual
      .map((item, i) => difference(item, expected[i], `${at}[${i}]`))
      .find(found => found !== undefined);
  }
  const fields = actual as Record<string, unknown>;
  if ('type' in fields && 'value' in fields) {
    const tag = String(fields['type']);
    if (fields['value'] === undefined) return tag === expected ? undefined : at;
    return difference(fields['value'], (expected as Record<string, unknown>)[tag], `${at}.${tag}`);
  }
  const names = Object.keys(fields);
  if (names.join() !== Object.keys(expected as object).join()) return `${at} has fields ${names.join()}`;
  return names
    .map(name => difference(fields[name], (expected as Record<string, unknown>)[name], `${at}.${name}`))
    .find(found => found !== undefined);
}

/** Whether a vector holds a number that this client refuses: it counts nothing that large. */
function isBeyond(value: unknown): boolean {
  if (typeof value === 'string') return /^\d{16,}$/.test(value) && BigInt(value) > 2n ** 53n - 1n;
  return typeof value === 'object' && value !== null && Object.values(value).some(isBeyond);
}

function only(stream: Uint8Array): Frame {
  const decoder = new FrameDecoder();
  const frames = decoder.push(stream);
  expect([frames.length, decoder.pendingBytes]).toEqual([1, 0]);
  return frames[0]!;
}

describe('frames', () => {
  it.each(frameVectors.frames)('$name is the same both ways', vector => {
    const frame = only(bytes(vector.hex));
    expect(frame.kind).toBe(vector.kind);
    const client = vector.direction === 'client';
    const decode = (): ReturnType<typeof decodeCommand> | ReturnType<typeof decodeDelivery> => {
      return client ? decodeCommand(frame) : decodeDelivery(frame);
    };
    // Nonces and bit sets are exact in all their bits; what counts something is refused beyond 2^53 − 1.
    if (isBeyond(vector.value) && vector.kindName !== 'ping') {
      expect(decode).toThrow(CodecError);
      return;
    }
    const decoded = decode();
    expect(lowerCamel(decoded?.type ?? '')).toBe(vector.kindName);
    expect(difference(decoded?.body, vector.value)).toBeUndefined();
    const again = client
      ? encodeCommand(decoded as NonNullable<ReturnType<typeof decodeCommand>>)
      : encodeDelivery(decoded as NonNullable<ReturnType<typeof decodeDelivery>>);
    expect(hex(framed(again))).toBe(vector.hex);
  });

  it('has a vector for every kind of frame', () => {
    const kinds = [...Object.values(COMMANDS), ...Object.values(DELIVERIES)].map(([kind]) => kind);
    expect(new Set(frameVectors.frames.map(vector => vector.kind))).toEqual(new Set(kinds));
  });
});

describe('events', () => {
  it.each(eventVectors.events)('$name is the same both ways', vector => {
    const decoded = decodeEventBody(vector.kind, bytes(vector.hex));
    expect(lowerCamel(decoded?.type ?? '')).toBe(vector.kindName);
    expect(difference(decoded?.body, vector.value)).toBeUndefined();
    const codec: Codec<unknown> = EVENT_BODIES[decoded!.type][1];
    expect(hex(encode(codec, decoded?.body))).toBe(vector.hex);
  });
});

describe('carriers', () => {
  it.each(carrierVectors.carriers)('$name is the same both ways', vector => {
    if (typeof vector.body === 'object') {
      const body = new Uint8Array(vector.body.times).fill(parseInt(vector.body.byte, 16));
      const inner = Uint8Array.of(vector.kind, ...body);
      const stream = framed(inner);
      expect(hex(stream.subarray(0, stream.length - inner.length))).toBe(vector.header);
      expect(only(stream)).toEqual({ kind: vector.kind, body });
    } else if (vector.form === 'lane') {
      const inner = Uint8Array.of(vector.kind, ...bytes(vector.body));
      expect(hex(wrapped(vector.lane!, inner))).toBe(vector.hex);
      const { lane, frame } = unwrapped(only(bytes(vector.hex!)));
      expect([lane, frame.kind, hex(frame.body)]).toEqual([vector.lane, vector.kind, vector.body]);
    } else {
      const frame = fromDatagram(bytes(vector.hex!));
      expect([frame.kind, hex(frame.body)]).toEqual([vector.kind, vector.body]);
    }
  });
});

describe('codes', () => {
  it('are the twin’s: number, name, retry advice, sentence', () => {
    const rows = [...rustCodes.matchAll(/^ {4}(\d+) ([A-Z_]+) (true|false) "(.*)"$/gm)].map(
      ([, number, name = '', retryable, sentence]) => {
        return [Number(number), name.toLowerCase(), retryable === 'true', sentence];
      },
    );
    expect(rows.length).toBeGreaterThan(30);
    expect(CODES).toEqual(rows);
    const named = Object.entries(Code).map(([name, number]) => [number, name.toLowerCase()]);
    expect(named).toEqual(rows.map(([number, name]) => [number, name]));
  });
});

describe('numbers of a later server', () => {
  const named = (name: string): Uint8Array => {
    const vector = hostileVectors.hostile.find(vector => vector.name === `hostile/${name}`);
    if (vector === undefined) throw new Error(`no vector ${name}`);
    return bytes(vector.hex);
  };

  it('are read as what the document names', () => {
    const [frame] = new FrameDecoder().push(named('presence-of-a-later-server'));
    expect(frame && decodeDelivery(frame)).toMatchObject({
      type: 'Presence',
      body: { availability: 'busy', connectivity: 'idle' },
    });
    expect(decodeEventBody(6, named('event-status-of-a-later-server'))).toMatchObject({
      type: 'StatusChanged',
      body: { status: 'active' },
    });
  });
});

describe('hostile bytes', () => {
  const outcome = (vector: (typeof hostileVectors.hostile)[number]): string => {
    const raw = bytes(vector.hex);
    try {
      if (vector.form === 'datagram') return fromDatagram(raw).kind >= 0 ? 'frame' : 'never';
      if (vector.form === 'event')
        return decodeEventBody(vector.kind!, raw) === undefined ? 'unknown' : 'accepted';
      const decoder = new FrameDecoder();
      const [frame] = decoder.push(raw);
      if (frame === undefined) return 'incomplete';
      if (vector.form === 'lane') unwrapped(frame);
      if (vector.form === 'stream' || vector.form === 'lane') return 'frame';
      const decoded = vector.form === 'command' ? decodeCommand(frame) : decodeDelivery(frame);
      return decoded === undefined ? 'unknown' : 'accepted';
    } catch (error) {
      if (!(error instanceof FrameError) && !(error instanceof CodecError)) throw error;
      const { message } = error;
      if (message.includes('above the limit')) return 'tooLarge';
      if (message === 'an empty frame') return 'empty';
      if (message.includes('lane wrapper')) return 'badLane';
      return message.includes('left over') ? 'trailing' : 'malformed';
    }
  };

  it.each(hostileVectors.hostile)('$name: $outcome', vector => {
    expect(outcome(vector)).toBe(vector.outcome);
  });
});
