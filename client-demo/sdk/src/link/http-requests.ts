/**
 * The requests of a carrier that is made of plain HTTP, and what their answers mean. See "SSE and long polling in bytes" in
 * docs/protocol.md. Nothing here waits or repeats.
 */

/** The carrier is over, or was refused, with one of Duet's codes. */
export class CarrierEnded extends Error {
  readonly code: number;

  constructor(code: number, reason: string) {
    super(reason);
    this.name = 'CarrierEnded';
    this.code = code;
  }
}

/** Something in between answered, or nobody did: worth another try. */
export class NoAnswer extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NoAnswer';
  }
}

/** How a request to open, to send or to fetch looks. */
export interface Ask {
  readonly method: 'GET' | 'POST';
  readonly path: 'sse' | 'poll' | 'send';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly signal: AbortSignal;
  /** May outlive the page. */
  readonly keepalive?: boolean;
}

/** Asks; resolves with an answer of the server below 400, throws {@link CarrierEnded} or {@link NoAnswer} otherwise. */
export async function ask(
  base: string,
  { method, path, headers, body, signal, keepalive }: Ask,
): Promise<Response> {
  const answer = await reached(`${base}/${path}`, {
    method,
    headers: { ...headers, ...(body === undefined ? {} : { 'Content-Type': 'application/octet-stream' }) },
    // The bytes are our own and not shared with another thread, which is all that the type doubts.
    ...(body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> }),
    signal,
    keepalive: keepalive ?? false,
  });
  if (answer.ok) return answer;
  throw refusal(answer) ?? new NoAnswer(`an answer of ${answer.status} from something in between`);
}

/** Whether a server of Duet's is there. Throws what is wrong otherwise. */
export async function probe(base: string, signal: AbortSignal): Promise<void> {
  // Without a key any server of Duet's refuses, and says so with a code; nothing else does.
  const answer = await reached(`${base}/poll`, { method: 'GET', signal });
  await answer.body?.cancel();
  const refused = refusal(answer);
  if (refused === undefined) throw new NoAnswer('no server that knows this carrier');
  if (refused.code >= 3500) throw refused;
}

async function reached(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, { ...init, credentials: 'omit', cache: 'no-store', redirect: 'error' });
  } catch (error) {
    throw new NoAnswer(error instanceof Error ? error.message : 'no answer');
  }
}

function refusal(answer: Response): CarrierEnded | undefined {
  const code = Number(answer.headers.get('Duet-Code') ?? NaN);
  if (answer.status < 400 || !Number.isInteger(code)) return undefined;
  return new CarrierEnded(code, answer.headers.get('Duet-Reason') ?? '');
}
