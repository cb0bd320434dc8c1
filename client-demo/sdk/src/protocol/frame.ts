/**
 * Frames: `length (QUIC varint, of what follows) · kind (1 byte) · body`, at most 64 KiB. Twin of
 * crates/protocol/src/frame.rs.
 *
 * A stream is a sequence of frames. Where one carrier holds several lanes (WebSocket, or a control stream with more
 * conversations than streams) a frame travels inside a lane frame: `length · 0x01 · lane (varint) · kind · body`. An
 * unknown kind is skipped by its length. Varints are those of RFC 9000 §16. What this client handles everywhere else is
 * the inner form `kind · body`, which is also the form of a datagram.
 */

/** The largest value of a frame's length field: kind, lane number if any, and body. */
export const MAX_FRAME_BYTES = 65_536;
/** The largest datagram that every browser and path carries, in bytes. */
export const MAX_DATAGRAM_BYTES = 1_024;
/** The highest number of a wrapped lane. */
export const LANE_MAX = 1_073_741_823;
/** Kind of the frame that wraps another one and names its lane. */
export const LANE = 0x01;

/** One frame, its body still encoded. */
export interface Frame {
  readonly kind: number;
  readonly body: Uint8Array;
}

/** The bytes are no sequence of frames; the carrier closes with `protocol_error`. */
export class FrameError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'FrameError';
  }
}

/** `length · kind · body` from `kind · body`. */
export function framed(inner: Uint8Array): Uint8Array {
  return joined(varint(inner.length), inner);
}

/** `length · 0x01 · lane · kind · body` from `kind · body`. */
export function wrapped(lane: number, inner: Uint8Array): Uint8Array {
  const number = varint(lane);
  return joined(varint(inner.length + 1 + number.length), Uint8Array.of(LANE), number, inner);
}

/** Reads `kind · body`, the form of a datagram. */
export function fromDatagram(bytes: Uint8Array): Frame {
  const kind = bytes[0];
  if (kind === undefined) throw new FrameError('an empty frame');
  return { kind, body: bytes.subarray(1) };
}

/** The lane's number and the frame within; lane 0 and the frame itself when it is not wrapped. */
export function unwrapped(frame: Frame): { readonly lane: number; readonly frame: Frame } {
  if (frame.kind !== LANE) return { lane: 0, frame };
  const number = takeVarint(frame.body, 0);
  if (number === undefined || number.value < 1 || number.value > LANE_MAX) {
    throw new FrameError('a malformed lane wrapper');
  }
  const inner = fromDatagram(frame.body.subarray(number.bytes));
  if (inner.kind === LANE) throw new FrameError('a malformed lane wrapper');
  return { lane: number.value, frame: inner };
}

/** Cuts a stream of bytes into frames. Holds at most one incomplete frame between calls. */
export class FrameDecoder {
  #rest: Uint8Array = new Uint8Array(0);

  /** Takes in what arrived and returns the frames that are whole now; throws {@link FrameError}. */
  push(bytes: Uint8Array): Frame[] {
    const buffer = this.#rest.length === 0 ? bytes : joined(this.#rest, bytes);
    const frames: Frame[] = [];
    let at = 0;
    for (;;) {
      const length = takeVarint(buffer, at);
      if (length === undefined) break;
      if (length.value === 0) throw new FrameError('an empty frame');
      if (length.value > MAX_FRAME_BYTES) {
        throw new FrameError(`a frame of ${length.value} bytes is above the limit of ${MAX_FRAME_BYTES}`);
      }
      const start = at + length.bytes;
      if (buffer.length - start < length.value) break;
      at = start + length.value;
      frames.push(fromDatagram(buffer.slice(start, at)));
    }
    this.#rest = at === 0 ? buffer : buffer.slice(at);
    return frames;
  }

  /** Bytes that wait for the rest of their frame. */
  get pendingBytes(): number {
    return this.#rest.length;
  }
}

/** `value` (below 2^53) in its shortest form. */
export function varint(value: number): Uint8Array {
  if (value < 0x40) return Uint8Array.of(value);
  if (value < 0x4000) return Uint8Array.of(0x40 | (value >> 8), value & 0xff);
  const wide = value >= 0x4000_0000;
  const view = new DataView(new ArrayBuffer(wide ? 8 : 4));
  if (wide) view.setBigUint64(0, 0xc000_0000_0000_0000n | BigInt(value));
  else view.setUint32(0, (0x8000_0000 | value) >>> 0);
  return new Uint8Array(view.buffer);
}

/** The varint at `at`, with the bytes that it takes; `undefined` when it has not arrived whole. */
export function takeVarint(
  bytes: Uint8Array,
  at: number,
): { readonly value: number; readonly bytes: number } | undefined {
  const first = bytes[at];
  if (first === undefined) return undefined;
  const length = 1 << (first >> 6);
  if (bytes.length - at < length) return undefined;
  let value = first & 0x3f;
  for (let i = 1; i < length; i++) value = value * 256 + (bytes[at + i] ?? 0);
  return { value, bytes: length };
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
