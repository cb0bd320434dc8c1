/** Icons: Lucide's paths drawn inline, and the ticks and presence marks, which are Duet's own. Always beside a label. */
import { svg, type SVGTemplateResult, type TemplateResult, html } from 'lit';
import { unsafeSVG } from 'lit/directives/unsafe-svg.js';
import type { IconNode } from 'lucide';
import type { PresenceShape } from '../model/presence';
import type { TickShape } from '../model/ticks';

/** A Lucide icon, `size` CSS pixels wide. */
export function icon(node: IconNode, size = 16): TemplateResult {
  return html`<svg
    width=${size}
    height=${size}
    viewBox="0 0 24 24"
    fill="none"
    stroke="currentColor"
    stroke-width="2"
    stroke-linecap="round"
    stroke-linejoin="round"
    aria-hidden="true"
  >
    ${unsafeSVG(markup(node))}
  </svg>`;
}

/** A message's tick. */
export function tick(shape: TickShape): TemplateResult {
  return html`<svg class="tick ${shape}" width="16" height="12" viewBox="0 0 16 12" aria-hidden="true">
    ${TICKS[shape]}
  </svg>`;
}

/** A presence mark: each state has a shape of its own. */
export function mark(shape: PresenceShape): TemplateResult {
  return html`<svg class="mark ${shape}" width="10" height="10" viewBox="0 0 10 10" aria-hidden="true">
    ${MARKS[shape]}
  </svg>`;
}

const stroke = (path: string, width = 1.5): SVGTemplateResult =>
  svg`<path d=${path} fill="none" stroke="currentColor" stroke-width=${width} stroke-linecap="round" stroke-linejoin="round" />`;

const two = 'M1 6.5 3.6 9 9 3M7.2 8.6 7.6 9 13.6 3';
const filled = svg`<rect width="16" height="12" rx="4" fill="currentColor" />
  <path d="M3 6.2 4.9 8 8.6 4M7.4 7.6 7.8 8 12.6 4" fill="none" stroke="var(--surface)" stroke-width="1.4" stroke-linecap="round" stroke-linejoin="round" />`;

const TICKS: Readonly<Record<TickShape, SVGTemplateResult>> = {
  clock: svg`<circle cx="8" cy="6" r="4.6" fill="none" stroke="currentColor" stroke-width="1.3" />${stroke('M8 3.6V6l1.6 1', 1.3)}`,
  one: stroke('M4 6.5 6.6 9 12 3'),
  two: stroke(two),
  filled,
  coloured: filled,
  failed: svg`<circle cx="8" cy="6" r="5.4" fill="currentColor" /><path d="M8 3.2v3.2M8 8.6v.1" stroke="var(--surface)" stroke-width="1.5" stroke-linecap="round" />`,
};

const MARKS: Readonly<Record<PresenceShape, SVGTemplateResult>> = {
  online: svg`<circle cx="5" cy="5" r="4" fill="currentColor" />`,
  busy: svg`<circle cx="5" cy="5" r="4" fill="currentColor" /><path d="M3 5h4" stroke="var(--surface)" stroke-width="1.5" stroke-linecap="round" />`,
  away: svg`<circle cx="5" cy="5" r="3.4" fill="none" stroke="currentColor" stroke-width="1.2" /><path d="M5 1.6a3.4 3.4 0 0 1 0 6.8z" fill="currentColor" />`,
  offline: svg`<circle cx="5" cy="5" r="3.3" fill="none" stroke="currentColor" stroke-width="1.4" />`,
  unsure: svg`<circle cx="5" cy="5" r="3.3" fill="none" stroke="currentColor" stroke-width="1.4" stroke-dasharray="2 1.5" />`,
};

/** Lucide's data as markup. It is the package's own, never a user's. */
function markup(node: IconNode): string {
  return node
    .map(([tag, attributes]) => {
      const all = Object.entries(attributes).map(([name, value]) => `${name}="${String(value)}"`);
      return `<${tag} ${all.join(' ')}/>`;
    })
    .join('');
}
