/** How many messages are unread: a number on the accent's colour, with its meaning as its name. */
import { css, html, nothing, type TemplateResult } from 'lit';
import { texts } from '../text/locale';

/** The look of badges, for the elements that draw them. */
export const badgeStyle = css`
  .badge {
    min-inline-size: 18px;
    padding: 0 5px;
    border-radius: 9px;
    background: var(--accent);
    color: var(--on-accent);
    font-size: 12px;
    font-weight: 600;
    line-height: 18px;
    text-align: center;
  }
  @media (forced-colors: active) {
    .badge {
      border: 1px solid CanvasText;
    }
  }
`;

/** Draws the badge of `count` unread messages; nothing when all are read. */
export function badge(count: number): TemplateResult | typeof nothing {
  if (count === 0) return nothing;
  const label = texts().text('desk.unread', { count });
  return html`<span class="badge figures" role="img" aria-label=${label}
    >${count > 99 ? '99+' : count}</span
  >`;
}
