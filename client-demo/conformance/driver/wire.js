/** Wires with weather: `duet-wire` of tests/wire, which says what each kind of weather is. */
import { fileURLToPath } from 'node:url';
import { Process } from './lines.js';

const BINARY =
  process.env.DUET_WIRE_BIN ?? fileURLToPath(new URL('../../../target/debug/duet-wire', import.meta.url));

/** The process that holds all wires of a scenario. */
export class Wires {
  #process = new Process(BINARY, []);

  /** A wire to `to` (`host:port`); the same seed meets the same chances. `streamsOnly`: in a network that swallows UDP. */
  async open(to, seed = 1, { streamsOnly = false } = {}) {
    const order = { do: 'open', to, seed, streams_only: streamsOnly };
    const { wire, address } = await this.#process.dialogue.ask(order);
    return new Wire(this.#process.dialogue, wire, address);
  }

  close() {
    return this.#process.kill();
  }
}

/** One wire. */
class Wire {
  #dialogue;
  #wire;

  constructor(dialogue, wire, address) {
    this.#dialogue = dialogue;
    this.#wire = wire;
    /** `host:port` for clients. */
    this.address = address;
  }

  /** The weather one `way` (`up`, `down`, `both`) from now on; nothing means clear. */
  weather(weather = {}, way = 'both') {
    return this.#order({ do: 'set', way, weather });
  }

  /** Holds everything: datagrams are lost, and what TCP carries waits. */
  cut() {
    return this.#order({ do: 'cut' });
  }

  heal() {
    return this.#order({ do: 'heal' });
  }

  /** Whether UDP passes at all; TCP does. */
  datagrams(pass) {
    return this.#order({ do: 'datagrams', pass });
  }

  /** RST to both ends of every connection. */
  reset() {
    return this.#order({ do: 'reset' });
  }

  /** Every connection that stands is silently dead; new ones work. */
  halfOpen() {
    return this.#order({ do: 'half_open' });
  }

  /** Clients have another source address, as the server sees it. */
  rebind() {
    return this.#order({ do: 'rebind' });
  }

  aim(to) {
    return this.#order({ do: 'aim', to });
  }

  #order(order) {
    return this.#dialogue.ask({ ...order, wire: this.#wire });
  }
}
