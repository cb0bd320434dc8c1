/** How the page gets in: the development server on the same origin hands out tokens and says where it listens. */
import { Client, type DuetClient } from '@duet/client';
import { forcedTransport, furtherCertificates, furtherEndpoints, type Person } from './settings';

/** What `GET /dev/token` answers, as far as the page needs it. */
interface Grant {
  readonly token: string;
  readonly endpoints: readonly string[];
  readonly websocket: string;
  readonly certificate_sha256: string;
  /** Of a pair: where each endpoint's WebSocket is, every node's certificate, and that there are two. */
  readonly websockets?: readonly string[];
  readonly certificates_sha256?: readonly string[];
  readonly pair?: boolean;
}

/** A client for one person. `name` may change until it connects. */
export class Access {
  name: string;
  readonly person: Person;
  #grant: Grant | undefined;

  constructor(person: Person) {
    this.person = person;
    this.name = person.name;
  }

  /** Asks where the server is, and makes a client for it. Rejects when the server does not answer. */
  async open(): Promise<DuetClient> {
    const { endpoints, websocket, websockets = [websocket] } = await this.#ask();
    const all = [...new Set([...endpoints, ...furtherEndpoints()])];
    if (all.length === 0) throw new Error('the server names no address');
    const addresses = all.map((endpoint, i) => {
      const [url, webSocket] = [`https://${endpoint}`, websockets[i]];
      if (webSocket === undefined) return url;
      // What is said over TCP without TLS is all at one place.
      return { url, webSocket, http: webSocket.replace(/^ws/, 'http').replace(/\/ws$/, '') };
    });
    const { side, user } = this.person;
    const forced = forcedTransport();
    // The certificate is self-signed: WebTransport trusts its hash, the others go without TLS to where the page came from.
    return new Client(addresses, {
      namespace: `${side}.${user}`,
      ...(forced === undefined ? {} : { transports: [forced] }),
      getToken: async () => (await this.#ask()).token,
      serverCertificateHashes: async () => {
        const { certificate_sha256: own, certificates_sha256: both = [own] } =
          this.#grant ?? (await this.#ask());
        return [...both, ...furtherCertificates()];
      },
    });
  }

  /** Whether two nodes stand behind the page; known once it was opened. */
  get isPair(): boolean {
    return this.#grant?.pair === true;
  }

  async #ask(): Promise<Grant> {
    const { side, user } = this.person;
    const query = new URLSearchParams({ role: side, user, ...(this.name === '' ? {} : { name: this.name }) });
    const answer = await fetch(`/dev/token?${query.toString()}`, { signal: AbortSignal.timeout(5_000) });
    if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
    const grant: unknown = await answer.json();
    if (!isGrant(grant)) throw new Error('the server answers something else');
    this.#grant = grant;
    return grant;
  }
}

function isGrant(value: unknown): value is Grant {
  if (typeof value !== 'object' || value === null) return false;
  const { token, endpoints, websocket, certificate_sha256 } = value as Partial<Record<keyof Grant, unknown>>;
  const strings = [token, websocket, certificate_sha256].every(each => typeof each === 'string');
  return strings && Array.isArray(endpoints);
}
