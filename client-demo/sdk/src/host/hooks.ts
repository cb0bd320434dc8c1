/**
 * Where `simulate` takes hold of a client, and nothing else does: without that module nothing is set here, and a bundler leaves it
 * out.
 */
import type { Transport } from '../api';
import type { Dial } from '../link/carrier';
import type { Driver } from './driver';

/** The dialler of each carrier. */
export type Dials = Readonly<Record<Transport, Dial>>;

/** Set by `simulate`, which must be loaded before the client is made. */
export const hooks: {
  /** Puts something between a client and its carriers. */
  dials?: (client: object, dials: Dials) => Dials;
  made?: (client: object, driver: Driver) => void;
} = {};
