/**
 * One table per direction: frame name, kind number, body shape. Encoding and decoding come from the same table, so they
 * cannot disagree. Twin of crates/protocol/src/kinds.rs.
 */
import { type Codec, decode, type Value, Writer } from './codec';
import type { Frame } from './frame';

/** Frames of one direction by name. */
export type Table = Readonly<Record<string, readonly [kind: number, shape: Codec<unknown>]>>;

/** A decoded frame of a table. */
export type FrameOf<T extends Table> = {
  [K in keyof T]: { readonly type: K; readonly body: Value<T[K][1]> };
}[keyof T];

/** `kind · body` of a frame. */
export function encodeFrame<T extends Table>(table: T, frame: FrameOf<T>): Uint8Array {
  const row = table[frame.type];
  if (row === undefined) throw new TypeError(`no frame ${String(frame.type)}`);
  const out = new Writer();
  out.byte(row[0]);
  row[1].write(out, frame.body);
  return out.finish();
}

/** Reads a frame; `undefined` when its kind is unknown and it must be skipped. Throws `CodecError`. */
export function decodeFrame<T extends Table>(table: T, frame: Frame): FrameOf<T> | undefined {
  for (const type of Object.keys(table)) {
    const row = table[type];
    if (row?.[0] === frame.kind) return { type, body: decode(row[1], frame.body) } as FrameOf<T>;
  }
  return undefined;
}
