/**
 * The HTTP side of a server, as `fetch` sees it: carriers with keys, numbered chunks and batches, streams and polls, in front of a fake
 * server; and what networks do to requests. See "SSE and long polling in bytes" in docs/protocol.md.
 */
import { FrameDecoder, framed, unwrapped, wrapped } from '../src/protocol/frame';
import { FakeServer } from './fake-server';

const WAITING_MAX = 65_536;

/** What happens to a request: nothing, it or its answer is lost, or something in between answers. */
export type Fate = 'passes' | 'lost' | 'unanswered' | 'gateway';

interface Batch {
  readonly number: number;
  readonly bytes: Uint8Array;
}

/** One carrier. */
interface Served {
  readonly link: number;
  readonly up: FrameDecoder;
  seq: number;
  batches: Batch[];
  last: number;
  /** Frames that do not fit yet. */
  held: Uint8Array[];
  ended: { readonly code: number; readonly reason: string } | undefined;
  /** Ends the `GET` that waits. */
  replaced: () => void;
  tell: () => void;
}

export class FakeHttp {
  readonly server = new FakeServer(() => Date.now());
  /** What becomes of each request. */
  fate: (path: string) => Fate = () => 'passes';
  /** Something in between collects streams and passes nothing on. */
  holdsStreams = false;
  /** A stream is cut after so many events. */
  eventsPerStream = Infinity;
  readonly requests: { readonly method: string; readonly path: string; readonly headers: Headers }[] = [];
  readonly #carriers = new Map<string, Served>();
  #links = 0;

  constructor() {
    this.server.ended = link => {
      for (const served of this.#carriers.values()) {
        if (served.link === link) this.#end(served, 3511, 'replaced');
      }
    };
  }

  /** How many requests of this kind have come. */
  count(method: string, path: string): number {
    return this.requests.filter(request => request.method === method && request.path === path).length;
  }

  /** Every carrier is unknown from now on, as after a restart. */
  forget(): void {
    for (const served of this.#carriers.values()) served.replaced();
    this.#carriers.clear();
  }

  readonly fetch = async (url: string, init: RequestInit = {}): Promise<Response> => {
    const path = url.slice(url.lastIndexOf('/') + 1);
    const method = init.method ?? 'GET';
    const headers = new Headers(init.headers);
    this.requests.push({ method, path, headers });
    await Promise.resolve();
    if (init.signal?.aborted === true) throw new DOMException('aborted', 'AbortError');
    const fate = this.fate(path);
    if (fate === 'lost') throw new TypeError('network error');
    if (fate === 'gateway') return new Response('bad gateway', { status: 502 });
    const answer = this.#answer(method, path, headers, init);
    if (fate !== 'unanswered') return answer;
    await answer;
    throw new TypeError('network error');
  };

  async #answer(method: string, path: string, headers: Headers, init: RequestInit): Promise<Response> {
    const key = headers.get('Duet-Carrier');
    if (method === 'POST' && path !== 'send') return this.#open(init.body as Uint8Array);
    const served = key === null ? undefined : this.#carriers.get(key);
    if (served === undefined) return refused(404, 3014, 'carrier_gone');
    const ack = Math.max(Number(headers.get('Duet-Ack') ?? 0), Number(headers.get('Last-Event-ID') ?? 0));
    served.batches = served.batches.filter(({ number }) => number > ack);
    this.#fill(served);
    if (served.ended !== undefined && served.batches.length === 0) {
      return refused(410, served.ended.code, served.ended.reason);
    }
    if (path === 'send') return this.#send(served, headers, init.body as Uint8Array | undefined);
    served.replaced();
    const signal = init.signal ?? new AbortController().signal;
    return path === 'sse' ? this.#stream(served, signal) : this.#poll(served, signal);
  }

  #open(body: Uint8Array): Response {
    const key = crypto.randomUUID().replaceAll('-', '');
    const link = ++this.#links;
    const idle = (): void => undefined;
    const served: Served = {
      link,
      up: new FrameDecoder(),
      ...{ seq: 0, batches: [], last: 0, held: [], ended: undefined, replaced: idle, tell: idle },
    };
    this.#carriers.set(key, served);
    this.server.connected(link, (lane, { kind, body: inner }) => {
      const whole = Uint8Array.of(kind, ...inner);
      served.held.push(lane === 0 ? framed(whole) : wrapped(lane, whole));
      this.#fill(served);
    });
    this.#hear(served, body);
    return new Response(key);
  }

  #send(served: Served, headers: Headers, body: Uint8Array | undefined): Response {
    const seq = Number(headers.get('Duet-Seq') ?? 0);
    if (body !== undefined && seq > served.seq + 1) return new Response(null, { status: 409 });
    if (body !== undefined && seq === served.seq + 1) {
      served.seq = seq;
      this.#hear(served, body);
    }
    if (headers.has('Duet-Close')) {
      this.server.gone(served.link);
      this.#end(served, Number(headers.get('Duet-Close')), '');
    }
    return new Response(null, { status: 204 });
  }

  #hear(served: Served, body: Uint8Array): void {
    for (const outer of served.up.push(body)) {
      const { lane, frame } = unwrapped(outer);
      this.server.hear(served.link, lane, Uint8Array.of(frame.kind, ...frame.body));
    }
  }

  /** Makes batches as far as they may wait. */
  #fill(served: Served): void {
    while (served.held.length > 0) {
      const waiting = served.batches.reduce((sum, { bytes }) => sum + bytes.length, 0);
      const next = served.held[0]!;
      if (waiting > 0 && waiting + next.length > WAITING_MAX) break;
      served.held.shift();
      served.batches.push({ number: ++served.last, bytes: next });
    }
    served.tell();
  }

  #end(served: Served, code: number, reason: string): void {
    served.ended ??= { code, reason };
    served.tell();
  }

  #stream(served: Served, signal: AbortSignal): Response {
    const text = new TextEncoder();
    let sent = 0;
    let events = 0;
    const stream = new ReadableStream<Uint8Array>({
      start: controller => {
        let open = true;
        const stop = (): void => {
          if (!open) return;
          open = false;
          served.tell = () => undefined;
          controller.close();
        };
        const write = (line: string): void => {
          if (!this.holdsStreams) controller.enqueue(text.encode(line));
        };
        signal.addEventListener('abort', () => {
          if (open) controller.error(new DOMException('aborted', 'AbortError'));
          open = false;
        });
        served.replaced = stop;
        served.tell = () => {
          for (const { number, bytes } of served.batches) {
            if (!open || number <= sent) continue;
            sent = number;
            write(`id: ${number}\ndata: ${btoa(String.fromCharCode(...bytes))}\n\n`);
            if (++events >= this.eventsPerStream) stop();
          }
          if (!open || served.ended === undefined) return;
          write(`event: end\ndata: ${served.ended.code} ${served.ended.reason}\n\n`);
          stop();
        };
        write(': duet\n\n');
        served.tell();
      },
    });
    return new Response(stream, { headers: { 'Content-Type': 'text/event-stream' } });
  }

  #poll(served: Served, signal: AbortSignal): Promise<Response> {
    return new Promise((resolve, reject) => {
      const empty = (): void => {
        resolve(new Response(null, { status: 204 }));
      };
      const timer = setTimeout(empty, 25_000);
      signal.addEventListener('abort', () => {
        reject(new DOMException('aborted', 'AbortError'));
      });
      served.replaced = empty;
      served.tell = () => {
        if (served.batches.length === 0) return;
        clearTimeout(timer);
        served.tell = () => undefined;
        const body = Uint8Array.from(served.batches.flatMap(({ bytes }) => [...bytes]));
        resolve(new Response(body, { headers: { 'Duet-Batch': String(served.batches.at(-1)!.number) } }));
      };
      served.tell();
    });
  }
}

function refused(status: number, code: number, reason: string): Response {
  return new Response(null, { status, headers: { 'Duet-Code': String(code), 'Duet-Reason': reason } });
}
