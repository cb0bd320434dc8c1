/**
 * Duet over a WebSocket: the same frames, lanes in wrappers, signals on lane 0. For networks and browsers without
 * WebTransport. RFC 6455, subprotocol `duet.v1`.
 */
import type { CarrierInfo } from '../machine/effect';
import { encodeCommand } from '../protocol/command';
import { type Frame, FrameDecoder, framed, unwrapped, wrapped } from '../protocol/frame';
import { SUBPROTOCOL } from '../protocol/hello';
import { type Carrier, type CarrierEvents, cut, type Dial } from './carrier';

/** Above this many bytes that wait in the socket, signals are dropped. */
const JAM_BYTES = 64 * 1024;
/** `WebSocket.OPEN`, which a host without a global one lacks. */
const OPEN = 1;
/** A browser lets a page close with 1000 or 3000 to 4999 only. */
const CLOSE_NORMALLY = 1000;

/** Makes a WebSocket; the browser's, or one that the application brings where there is none. */
export type SocketMaker = new (url: string, protocol: string) => WebSocket;

/** Makes a dialler of the global WebSocket, or of the given one. */
export function webSocketDial(given?: SocketMaker): Dial {
  return (address, events, signal) => {
    const maker = given ?? (typeof WebSocket === 'undefined' ? undefined : WebSocket);
    return dialled(maker, address, events, signal);
  };
}

function dialled(
  maker: SocketMaker | undefined,
  ...[address, events, signal]: Parameters<Dial>
): Promise<Carrier> {
  return new Promise((resolve, reject) => {
    if (address.webSocket === undefined || maker === undefined) {
      reject(new Error('WebSocket is not to be used here'));
      return;
    }
    const socket = new maker(address.webSocket, SUBPROTOCOL);
    socket.binaryType = 'arraybuffer';
    const abandon = (): void => {
      socket.close();
      reject(new Error('not wanted any more'));
    };
    signal.addEventListener('abort', abandon, { once: true });
    socket.onerror = () => {
      reject(new Error('the WebSocket could not be opened'));
    };
    socket.onclose = socket.onerror;
    socket.onopen = () => {
      signal.removeEventListener('abort', abandon);
      if (socket.protocol === SUBPROTOCOL) resolve(new SocketCarrier(socket, events));
      else {
        socket.close();
        reject(new Error(`the server does not speak ${SUBPROTOCOL}`));
      }
    };
  });
}

class SocketCarrier implements Carrier {
  readonly info: CarrierInfo = { transport: 'websocket', datagrams: false, better: false };
  readonly #socket: WebSocket;
  readonly #events: CarrierEvents;
  #over = false;

  constructor(socket: WebSocket, events: CarrierEvents) {
    this.#socket = socket;
    this.#events = events;
    socket.onmessage = ({ data }: MessageEvent<unknown>) => {
      this.#receive(data);
    };
    socket.onclose = ({ code, reason }) => {
      this.#down(code >= 3000 ? code : 0, reason);
    };
    socket.onerror = null;
  }

  openLane(): void {
    // A wrapped lane begins with its first frame.
  }

  finishLane(lane: number): void {
    this.send(lane, encodeCommand({ type: 'Close', body: {} }));
  }

  send(lane: number, inner: Uint8Array): void {
    if (this.#socket.readyState !== OPEN) return;
    // The bytes are our own and not shared with another thread, which is all that the type doubts.
    const bytes = lane === 0 ? framed(inner) : wrapped(lane, inner);
    this.#socket.send(bytes as Uint8Array<ArrayBuffer>);
  }

  signal(inner: Uint8Array): void {
    if (this.#socket.bufferedAmount < JAM_BYTES) this.send(0, inner);
  }

  close(code: number, reason: string): Promise<void> {
    this.#over = true;
    // Closing flushes by itself: the close frame follows what was sent before.
    this.#socket.close(code >= 3000 ? code : CLOSE_NORMALLY, cut(reason, 123));
    return Promise.resolve();
  }

  #receive(data: unknown): void {
    if (this.#over) return;
    try {
      if (!(data instanceof ArrayBuffer)) throw new TypeError('a text message');
      const decoder = new FrameDecoder();
      const frames: Frame[] = decoder.push(new Uint8Array(data));
      if (decoder.pendingBytes > 0) throw new TypeError('a frame is split over two messages');
      for (const outer of frames) {
        const { lane, frame } = unwrapped(outer);
        this.#events.frame(lane, frame);
      }
    } catch (error) {
      this.#broken(error);
    }
  }

  #broken(error: unknown): void {
    if (this.#over) return;
    const reason = error instanceof Error ? error.message : 'unreadable';
    this.#socket.close(CLOSE_NORMALLY, cut(reason, 123));
    this.#down(0, reason);
  }

  #down(code: number, reason: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#events.down(code, reason);
  }
}
