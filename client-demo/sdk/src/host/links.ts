/** The carriers of a client by the machine's link numbers, while they are dialled and while they stand. */
import type { CarrierInfo, Effect } from '../machine/effect';
import type { Carrier, CarrierEvents, Dial } from '../link/carrier';
import type { Frame } from '../protocol/frame';
import { Code } from '../protocol/reject';

/** What links tell. */
export interface LinkEvents {
  up(link: number, carrier: CarrierInfo): void;
  down(link: number, code: number, reason: string): void;
  frame(link: number, lane: number, frame: Frame): void;
  laneDown(link: number, lane: number): void;
}

/** A link: what ends it while it is being dialled, and the carrier once it stands. */
interface Link {
  readonly abort: AbortController;
  carrier: Carrier | undefined;
}

/** All links of a client: the live one, and perhaps one that is to replace it. */
export class Links {
  readonly #dialler: Dial;
  readonly #events: LinkEvents;
  readonly #links = new Map<number, Link>();
  #closing: Promise<void> = Promise.resolve();

  constructor(dialler: Dial, events: LinkEvents) {
    this.#dialler = dialler;
    this.#events = events;
  }

  carrier(link: number): Carrier | undefined {
    return this.#links.get(link)?.carrier;
  }

  async dial({ link, address, above }: Extract<Effect, { type: 'dial' }>): Promise<void> {
    const entry: Link = { abort: new AbortController(), carrier: undefined };
    this.#links.set(link, entry);
    try {
      const carrier = await this.#dialler(address, this.#carrierEvents(link), entry.abort.signal, above);
      if (this.#links.get(link) !== entry) {
        void carrier.close(0, '', true);
        return;
      }
      entry.carrier = carrier;
      this.#events.up(link, carrier.info);
    } catch (error) {
      if (this.#links.get(link) !== entry) return;
      this.#links.delete(link);
      const reason = error instanceof Error ? error.message : 'unreachable';
      this.#events.down(link, Code.UNREACHABLE, reason);
    }
  }

  hangUp(link: number, code: number, reason: string): void {
    const entry = this.#links.get(link);
    this.#links.delete(link);
    entry?.abort.abort();
    if (entry?.carrier !== undefined) this.#closing = entry.carrier.close(code, reason);
  }

  /** Resolves when the link that was hung up last is over. */
  settled(): Promise<void> {
    return this.#closing;
  }

  /** The page goes away: everything ends now, without waiting for what is still on its way. */
  dropAll(): void {
    for (const [link, { abort, carrier }] of [...this.#links]) {
      this.#links.delete(link);
      abort.abort();
      void carrier?.close(0, 'the page goes away', true);
      this.#events.down(link, Code.TRANSPORT_CLOSED, 'the page went away');
    }
  }

  #carrierEvents(link: number): CarrierEvents {
    return {
      frame: (lane, frame) => {
        this.#events.frame(link, lane, frame);
      },
      laneDown: lane => {
        this.#events.laneDown(link, lane);
      },
      down: (code, reason) => {
        this.#links.delete(link);
        this.#events.down(link, code, reason);
      },
    };
  }
}
