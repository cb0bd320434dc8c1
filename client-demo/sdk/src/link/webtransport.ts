/**
 * Duet over WebTransport: the control lane is the first stream that the client opens, every further lane a stream of its own as
 * far as the server allows, beyond that a wrapper on the control stream; signals are datagrams.
 *
 * Streams are few, long-lived and opened by the client only, which is what all browsers do well. Bulk streams are sent after
 * the others. Options and members that a browser lacks are not used.
 */
import type { CarrierInfo } from '../machine/effect';
import { encodeCommand } from '../protocol/command';
import {
  FrameDecoder,
  framed,
  fromDatagram,
  MAX_DATAGRAM_BYTES,
  unwrapped,
  wrapped,
} from '../protocol/frame';
import { SUBPROTOCOL } from '../protocol/hello';
import { type Carrier, type CarrierEvents, CLOSE_CODE, cut, type Dial, FLUSH_MS } from './carrier';

/** A SHA-256 of a certificate. */
export type Hash = Uint8Array<ArrayBuffer>;

/** Streams with a higher number are sent first. */
const ORDER = { conversation: 1, bulk: 0 } as const;

/** Members that not every browser, nor every version of the types, has. */
type Datagrams = WebTransportDatagramDuplexStream & { createWritable?: () => WritableStream<Uint8Array> };

/** Whether this browser has WebTransport at all. */
export function hasWebTransport(): boolean {
  return typeof WebTransport !== 'undefined';
}

/** Makes a dialler that trusts the public authorities, or the certificates that `hashes` brings. */
export function webTransportDial(hashes: () => Promise<readonly Hash[]>): Dial {
  return async (address, events, signal) => {
    if (address.webTransport === undefined || !hasWebTransport()) {
      throw new Error('WebTransport is not to be used here');
    }
    const values = await hashes();
    if (signal.aborted) throw new Error('not wanted any more');
    const trusted = values.map(value => ({ algorithm: 'sha-256', value }));
    const options: WebTransportOptions & { protocols: string[] } = {
      congestionControl: 'low-latency',
      protocols: [SUBPROTOCOL],
      ...(trusted.length > 0 ? { serverCertificateHashes: trusted } : {}),
    };
    const session = new WebTransport(address.webTransport, options);
    const abandon = (): void => {
      session.close();
    };
    signal.addEventListener('abort', abandon, { once: true });
    // `closed` rejects together with `ready`; it is listened to below once the session stands.
    session.closed.catch(() => undefined);
    try {
      await session.ready;
      const control = await session.createBidirectionalStream();
      return new SessionCarrier(session, control, events);
    } finally {
      signal.removeEventListener('abort', abandon);
    }
  };
}

class SessionCarrier implements Carrier {
  readonly info: CarrierInfo = { transport: 'webtransport', datagrams: true, better: false };
  readonly #session: WebTransport;
  readonly #events: CarrierEvents;
  readonly #control: Lane;
  readonly #lanes = new Map<number, Lane>();
  readonly #datagrams: WritableStreamDefaultWriter<Uint8Array>;
  #over = false;

  constructor(session: WebTransport, control: WebTransportBidirectionalStream, events: CarrierEvents) {
    this.#session = session;
    this.#events = events;
    this.#control = new Lane(Promise.resolve(control), this.#hooks(0));
    const datagrams: Datagrams = session.datagrams;
    this.#datagrams = (datagrams.createWritable?.() ?? datagrams.writable).getWriter();
    void this.#receiveDatagrams(datagrams.readable as ReadableStream<Uint8Array>);
    session.closed.then(
      ({ closeCode, reason }) => {
        this.#down(closeCode ?? 0, reason ?? '');
      },
      () => {
        this.#down(0, 'the session broke');
      },
    );
  }

  openLane(lane: number, bulk: boolean, streamsMax: number): void {
    if (this.#lanes.size >= streamsMax) return;
    const options = { sendOrder: bulk ? ORDER.bulk : ORDER.conversation };
    const stream = this.#session.createBidirectionalStream(options);
    this.#lanes.set(lane, new Lane(stream, this.#hooks(lane)));
  }

  finishLane(lane: number): void {
    const stream = this.#lanes.get(lane);
    this.#lanes.delete(lane);
    if (stream === undefined) this.send(lane, encodeCommand({ type: 'Close', body: {} }));
    else stream.finish();
  }

  send(lane: number, inner: Uint8Array): void {
    const stream = lane === 0 ? this.#control : this.#lanes.get(lane);
    if (stream === undefined) this.#control.write(wrapped(lane, inner));
    else stream.write(framed(inner));
  }

  signal(inner: Uint8Array, datagram: boolean): void {
    if (!datagram || inner.length > MAX_DATAGRAM_BYTES) this.send(0, inner);
    else if ((this.#datagrams.desiredSize ?? 0) > 0) this.#datagrams.write(inner).catch(() => undefined);
  }

  async close(code: number, reason: string, now = false): Promise<void> {
    this.#over = true;
    // Closing a session throws away what it has not sent, and no browser tells when it has; a server that is told goodbye
    // closes by itself. Without a pause where there must be none: what follows runs within this call then.
    if (!now) await Promise.race([this.#session.closed.catch(() => undefined), moment()]);
    this.#session.close({ closeCode: code === 0 ? CLOSE_CODE : code, reason: cut(reason, 1_024) });
  }

  #hooks(lane: number): LaneHooks {
    return {
      bytes: (decoder, bytes) => {
        if (this.#over) return;
        try {
          for (const outer of decoder.push(bytes)) {
            const inner = lane === 0 ? unwrapped(outer) : { lane, frame: outer };
            this.#events.frame(inner.lane, inner.frame);
          }
        } catch (error) {
          this.#broken(error instanceof Error ? error.message : 'unreadable');
        }
      },
      ended: () => {
        if (lane === 0) this.#broken('the control stream ended');
        else if (this.#lanes.delete(lane) && !this.#over) this.#events.laneDown(lane);
      },
    };
  }

  async #receiveDatagrams(readable: ReadableStream<Uint8Array>): Promise<void> {
    const reader = readable.getReader();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done || this.#over) return;
        // A datagram that makes no sense is no more than a lost one.
        if (value.length > 0) this.#datagram(value);
      }
    } catch {
      // The session is over; `closed` says why.
    }
  }

  #datagram(bytes: Uint8Array): void {
    try {
      this.#events.frame(0, fromDatagram(bytes));
    } catch {
      // As above.
    }
  }

  #broken(reason: string): void {
    if (this.#over) return;
    // The session's own end, if that is the cause, brings a better reason within a moment.
    setTimeout(() => {
      this.#down(0, reason);
      this.#session.close();
    }, FLUSH_MS);
  }

  #down(code: number, reason: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#events.down(code, reason);
  }
}

/** Long enough for what was written to leave. */
function moment(): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, FLUSH_MS));
}

interface LaneHooks {
  bytes(decoder: FrameDecoder, bytes: Uint8Array): void;
  /** The server ended its side. */
  ended(): void;
}

/** One stream: takes writes before it stands, reads until it ends. */
class Lane {
  readonly #writer: Promise<WritableStreamDefaultWriter<Uint8Array>>;
  readonly #reader: Promise<ReadableStreamDefaultReader<Uint8Array>>;
  /** Writes in order, each behind the one before. */
  #last: Promise<unknown>;
  #finished = false;

  constructor(stream: Promise<WebTransportBidirectionalStream>, hooks: LaneHooks) {
    this.#writer = stream.then(({ writable }) => {
      return (writable as WritableStream<Uint8Array>).getWriter();
    });
    this.#reader = stream.then(({ readable }) => (readable as ReadableStream<Uint8Array>).getReader());
    this.#last = this.#writer.catch(() => undefined);
    void this.#read(hooks);
  }

  write(bytes: Uint8Array): void {
    this.#last = this.#last
      .then(() => this.#writer.then(writer => writer.write(bytes)))
      .catch(() => undefined);
  }

  /** Ends one's own side; what the server still says is not wanted. */
  finish(): void {
    this.#finished = true;
    void this.#last.then(() => this.#writer.then(writer => writer.close())).catch(() => undefined);
    void this.#reader.then(reader => reader.cancel()).catch(() => undefined);
  }

  async #read(hooks: LaneHooks): Promise<void> {
    const decoder = new FrameDecoder();
    try {
      const reader = await this.#reader;
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        hooks.bytes(decoder, value);
      }
    } catch {
      // A reset ends a lane like a finish does.
    }
    if (!this.#finished) hooks.ended();
  }
}
