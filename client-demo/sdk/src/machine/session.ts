/** The session: what outlives links, and what a hello says of it. */
import type { Hello } from '../protocol/hello';
import { capability, VERSIONS, type Welcome } from '../protocol/hello';
import type { CarrierInfo, Out, SavedSession } from './effect';

/** What this client can, on every carrier. */
const CAPABILITIES = capability.AMENDMENTS | capability.CALLS | capability.BROADCASTS;

/** What is known of the session that would be resumed. */
export class Remembered {
  /** The highest reign of a primary that was seen; a node of an earlier one is not believed. */
  epochSeen: number;
  readonly #out: Out;
  readonly #device: string;
  readonly #sdk: string;
  #saved: SavedSession | undefined;

  constructor(out: Out, device: string, sdk: string, saved: SavedSession | undefined) {
    this.#out = out;
    this.#device = device;
    this.#sdk = sdk;
    this.#saved = saved;
    this.epochSeen = saved?.epoch ?? 0;
  }

  get saved(): SavedSession | undefined {
    return this.#saved;
  }

  hello(token: string | undefined, carrier: CarrierInfo | undefined): Hello {
    return {
      versions: VERSIONS,
      token,
      resume: this.#saved?.resume,
      device: this.#device,
      sdk: this.#sdk,
      epochSeen: this.epochSeen,
      capabilities: CAPABILITIES | (carrier?.datagrams === true ? capability.DATAGRAMS : 0n),
    };
  }

  /** A node took the session; `peers` may be followed. */
  welcomed(welcome: Welcome, peers: readonly string[]): void {
    const { session, resume, tenant, user, epoch } = welcome;
    this.epochSeen = epoch;
    this.#saved = { session, resume, tenant, user, epoch, peers };
    this.#out.push({ type: 'saveSession', session: this.#saved });
  }

  forget(): void {
    this.#saved = undefined;
    this.#out.push({ type: 'saveSession', session: undefined });
  }
}
