/** Laws of compressed frames: what was deflated inflates to the same frames, and nothing else does. */
import { describe, expect, it } from 'vitest';
import { DEFLATED, INFLATED_BYTES_MAX, inflate } from '../src/protocol/deflate';
import { FrameError, framed, LANE } from '../src/protocol/frame';

async function deflated(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([bytes as Uint8Array<ArrayBuffer>])
    .stream()
    .pipeThrough(new CompressionStream('deflate-raw'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function page(bytes: number): Uint8Array {
  return framed(Uint8Array.from({ length: bytes }, (_, at) => (at === 0 ? 0x58 : at % 7)));
}

describe('compressed frames', () => {
  it('stand for what they inflate to, in order', async () => {
    const both = Uint8Array.of(...page(3_000), ...framed(Uint8Array.of(0x52, 9)));
    const small = await deflated(both);
    expect(small.length).toBeLessThan(both.length / 10);
    const frames = await inflate(small);
    expect(frames.map(({ kind, body }) => [kind, body.length])).toEqual([
      [0x58, 2_999],
      [0x52, 1],
    ]);
  });

  it('are refused when they are bombs, halves, nested or no DEFLATE', async () => {
    const wrong = [
      await deflated(new Uint8Array(32 * 1024 * 1024)),
      await deflated(new Uint8Array(INFLATED_BYTES_MAX + 1)),
      await deflated(page(100).subarray(0, 50)),
      await deflated(framed(Uint8Array.of(LANE, 3, 0x58))),
      await deflated(framed(Uint8Array.of(DEFLATED))),
      Uint8Array.of(0xff, 0xff, 0xff),
    ];
    for (const body of wrong) await expect(inflate(body)).rejects.toThrow(FrameError);
  });
});
