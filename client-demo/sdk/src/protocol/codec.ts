/**
 * Bodies of frames: bincode 2, standard configuration. The only file that knows its rules. Twin of
 * crates/protocol/src/codec.rs.
 *
 * Integers are little-endian varints, bytes are raw, text and lists carry a length, an enum its variant number. A shape
 * is declared once as a `Codec` and gives the type, the writer and the reader. Decoding never allocates what a length
 * merely claims, and must consume its input whole. A 64-bit number above 2^53 − 1 is refused where it counts something;
 * nonces and bit sets are `bigint`.
 */

/** The largest body that is decoded, in bytes. */
export const MAX_BODY_BYTES = 65_536;

/** The bytes are no value of the expected type. */
export class CodecError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CodecError';
  }
}

/** How values of one type become bytes and back. */
export interface Codec<T> {
  write(out: Writer, value: T): void;
  read(input: Reader): T;
}

/** The type that a codec describes. */
export type Value<C> = C extends Codec<infer T> ? T : never;

/** The bytes of `value`. */
export function encode<T>(codec: Codec<T>, value: T): Uint8Array {
  const out = new Writer();
  codec.write(out, value);
  return out.finish();
}

/** The value whose bytes are exactly `bytes`; throws {@link CodecError} for anything else. */
export function decode<T>(codec: Codec<T>, bytes: Uint8Array): T {
  if (bytes.length > MAX_BODY_BYTES) throw new CodecError('a length goes beyond the limit');
  const input = new Reader(bytes);
  const value = codec.read(input);
  if (input.remaining > 0) throw new CodecError(`${input.remaining} bytes left over behind the body`);
  return value;
}

/** Collects bytes; grows by doubling. */
export class Writer {
  #bytes = new Uint8Array(128);
  #length = 0;

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** bincode's varint: below 251 one byte, else a marker and 2, 4 or 8 bytes. */
  varint(value: number | bigint): void {
    if (value < 251) this.byte(Number(value));
    else if (value < 0x1_0000) this.#marked(251, BigInt(value), 2);
    else if (value < 0x1_0000_0000) this.#marked(252, BigInt(value), 4);
    else this.#marked(253, BigInt(value), 8);
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #marked(marker: number, value: bigint, bytes: number): void {
    this.byte(marker);
    for (let i = 0; i < bytes; i++) this.byte(Number((value >> BigInt(8 * i)) & 0xffn));
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}

/** Reads bytes from the front; throws {@link CodecError} when they end too early. */
export class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  byte(): number {
    const value = this.#bytes[this.#at];
    if (value === undefined) throw new CodecError('the body ends too early');
    this.#at += 1;
    return value;
  }

  raw(length: number): Uint8Array {
    if (length > this.remaining) throw new CodecError('the body ends too early');
    this.#at += length;
    return this.#bytes.slice(this.#at - length, this.#at);
  }

  /** A varint of at most `bytes` bytes behind the marker. */
  varint(bytes: 2 | 4 | 8): bigint {
    const first = this.byte();
    if (first < 251) return BigInt(first);
    const width = first === 251 ? 2 : first === 252 ? 4 : first === 253 ? 8 : 16;
    if (width > bytes) throw new CodecError('a number is too wide for its type');
    let value = 0n;
    for (let i = 0; i < width; i++) value |= BigInt(this.byte()) << BigInt(8 * i);
    return value;
  }

  /** A length: no larger than what is left to read, so that a lie costs nothing. */
  length(): number {
    const length = this.varint(8);
    if (length > BigInt(this.remaining)) throw new CodecError('a length goes beyond the body');
    return Number(length);
  }
}

/** One raw byte. */
export const u8: Codec<number> = {
  write: (out, value) => {
    out.byte(checked(value, 0xff));
  },
  read: input => input.byte(),
};

export const u16: Codec<number> = unsigned(2, 0xffff);
export const u32: Codec<number> = unsigned(4, 0xffff_ffff);
/** A count, position or time: exact up to 2^53 − 1, refused beyond. */
export const u64: Codec<number> = unsigned(8, Number.MAX_SAFE_INTEGER);

/** All 64 bits: nonces and bit sets. */
export const bits64: Codec<bigint> = {
  write: (out, value) => {
    out.varint(BigInt.asUintN(64, value));
  },
  read: input => input.varint(8),
};

export const bool: Codec<boolean> = {
  write: (out, value) => {
    out.byte(value ? 1 : 0);
  },
  read: input => flag(input),
};

/** UTF-8 text without a rule of its own. */
export const string: Codec<string> = {
  write: (out, value) => {
    const encoded = new TextEncoder().encode(value);
    out.varint(encoded.length);
    out.raw(encoded);
  },
  read: input => utf8(input.raw(input.length())),
};

/** A list of bytes. */
export const bytes: Codec<Uint8Array> = {
  write: (out, value) => {
    out.varint(value.length);
    out.raw(value);
  },
  read: input => input.raw(input.length()),
};

/** Text that `check` accepts: it returns the rule that is broken, or nothing. */
export function text(check: (value: string) => string | undefined): Codec<string> {
  return {
    write: (out, value) => {
      string.write(out, obeying(check, value));
    },
    read: input => obeying(check, string.read(input)),
  };
}

/** `undefined`, or a value. */
export function option<T>(inner: Codec<T>): Codec<T | undefined> {
  return {
    write: (out, value) => {
      out.byte(value === undefined ? 0 : 1);
      if (value !== undefined) inner.write(out, value);
    },
    read: input => (flag(input) ? inner.read(input) : undefined),
  };
}

/** A list; every item takes at least one byte. */
export function vec<T>(inner: Codec<T>): Codec<readonly T[]> {
  return {
    write: (out, value) => {
      out.varint(value.length);
      for (const item of value) inner.write(out, item);
    },
    read: input => Array.from({ length: input.length() }, () => inner.read(input)),
  };
}

/** An object whose fields follow each other in the order of declaration. */
export function struct<S extends Record<string, Codec<unknown>>>(
  fields: S,
): Codec<{ readonly [K in keyof S]: Value<S[K]> }> {
  const names = Object.keys(fields);
  return {
    write: (out, value) => {
      for (const name of names) fields[name]?.write(out, value[name]);
    },
    read: input => {
      const value: Record<string, unknown> = {};
      for (const name of names) value[name] = fields[name]?.read(input);
      return value as { readonly [K in keyof S]: Value<S[K]> };
    },
  };
}

/** An enum without content: its variants in the order of the wire. */
export function variants<const T extends string>(...names: readonly T[]): Codec<T> {
  return {
    write: (out, value) => {
      out.varint(names.indexOf(value));
    },
    read: input => {
      const found = names[Number(input.varint(4))];
      if (found === undefined) throw new CodecError('no such variant');
      return found;
    },
  };
}

/**
 * An enum without content that may grow while a version lasts: a number that is not known is read as `fallback`. In what a
 * client asks for it makes no sense: `known` refuses it.
 */
export function openVariants<const T extends string>(
  fallback: NoInfer<T>,
  ...names: readonly T[]
): Codec<T> & { readonly known: Codec<T> } {
  const known = variants(...names);
  return {
    known,
    write: (out, value) => {
      known.write(out, value);
    },
    read: input => names[Number(input.varint(4))] ?? fallback,
  };
}

/** An enum whose variants hold one value each, or none (`unit`); a value is `{ type, value }`. */
export function tagged<S extends Record<string, Codec<unknown>>>(
  shapes: S,
): Codec<{ readonly [K in keyof S]: { readonly type: K; readonly value: Value<S[K]> } }[keyof S]> {
  const names = Object.keys(shapes);
  type T = { readonly [K in keyof S]: { readonly type: K; readonly value: Value<S[K]> } }[keyof S];
  return {
    write: (out, value) => {
      out.varint(names.indexOf(value.type as string));
      shapes[value.type]?.write(out, value.value);
    },
    read: input => {
      const type = names[Number(input.varint(4))];
      const shape = type === undefined ? undefined : shapes[type];
      if (shape === undefined) throw new CodecError('no such variant');
      return { type, value: shape.read(input) } as T;
    },
  };
}

/** A variant without content. */
export const unit: Codec<undefined> = { write: () => undefined, read: () => undefined };

/** The text of UTF-8 bytes; throws {@link CodecError} when they are none. */
export function utf8(encoded: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(encoded);
  } catch {
    throw new CodecError('text is not UTF-8');
  }
}

function unsigned(width: 2 | 4 | 8, max: number): Codec<number> {
  return {
    write: (out, value) => {
      out.varint(checked(value, max));
    },
    read: input => {
      const value = input.varint(width);
      if (value > BigInt(max)) throw new CodecError('a number is too large');
      return Number(value);
    },
  };
}

function checked(value: number, max: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw new CodecError(`${value} is no whole number from 0 to ${max}`);
}

function flag(input: Reader): boolean {
  const value = input.byte();
  if (value > 1) throw new CodecError('neither 0 nor 1');
  return value === 1;
}

function obeying(check: (value: string) => string | undefined, value: string): string {
  const broken = check(value);
  if (broken !== undefined) throw new CodecError(broken);
  return value;
}
