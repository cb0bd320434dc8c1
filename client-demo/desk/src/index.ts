/** `@duet/desk`: `<duet-desk>`, the agent's side. Importing it defines the elements. */
export { DuetCustomer } from './customer';
export { DuetDesk } from './desk';
export { DuetQueue } from './queue';
export { DuetShortcuts } from './shortcuts';
