/** Every law of the suite. */
import changing from './changing.js';
import networks from './networks.js';
import presence from './presence.js';
import refusals from './refusals.js';
import resuming from './resuming.js';
import sending from './sending.js';
import simulating from './simulating.js';
import states from './states.js';
import tokens from './tokens.js';

export const LAWS = [
  ...states,
  ...sending,
  ...changing,
  ...resuming,
  ...networks,
  ...tokens,
  ...presence,
  ...refusals,
  ...simulating,
];
