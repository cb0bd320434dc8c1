/** The agent as a page: lines come by `duetTake`, and go by `duetTell`, which the driver puts there before this runs. */
import { Agent } from './agent.js';

const agent = new Agent(line => void globalThis.duetTell(line));
globalThis.duetTake = order => void agent.take(order);
