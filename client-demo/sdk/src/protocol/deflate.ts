/**
 * Compressed frames: `length · 0x40 · raw DEFLATE (RFC 1951)` stands for the whole frames that it inflates to, on the lane
 * on which it travels. Twin of crates/protocol/src/deflate.rs.
 *
 * A browser's decompressor answers later, so whoever calls holds the frames behind it on the same lane back until then. It
 * stops at the bound: a few bytes cannot ask for much memory.
 */
import { type Frame, FrameDecoder, FrameError, LANE, MAX_FRAME_BYTES } from './frame';

/** Kind of the frame that stands for compressed ones. */
export const DEFLATED = 0x40;
/** Most bytes that a compressed frame may inflate to. */
export const INFLATED_BYTES_MAX = MAX_FRAME_BYTES;

/** Whether this platform can inflate at all; a client that cannot must not claim the capability. */
export function canInflate(): boolean {
  return typeof DecompressionStream !== 'undefined';
}

/** The frames for which the body of a {@link DEFLATED} frame stands; rejects with {@link FrameError}. */
export async function inflate(body: Uint8Array): Promise<Frame[]> {
  const decoder = new FrameDecoder();
  const frames: Frame[] = [];
  for (const piece of await inflated(body)) frames.push(...decoder.push(piece));
  const nested = frames.some(({ kind }) => kind === LANE || kind === DEFLATED);
  if (nested || decoder.pendingBytes > 0) throw new FrameError('a malformed compressed frame');
  return frames;
}

/** What `body` inflates to, in the pieces in which it comes. */
async function inflated(body: Uint8Array): Promise<Uint8Array[]> {
  const stream = new DecompressionStream('deflate-raw');
  const writer = stream.writable.getWriter();
  // What is wrong with the bytes is told by the reader.
  writer.write(body as Uint8Array<ArrayBuffer>).catch(() => undefined);
  writer.close().catch(() => undefined);
  const reader = (stream.readable as ReadableStream<Uint8Array>).getReader();
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw new FrameError('a malformed compressed frame');
    });
    if (done) return pieces;
    bytes += value.length;
    if (bytes > INFLATED_BYTES_MAX) {
      await reader.cancel().catch(() => undefined);
      throw new FrameError('a compressed frame that is too large');
    }
    pieces.push(value);
  }
}
