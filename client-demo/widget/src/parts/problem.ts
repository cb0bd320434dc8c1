/** What went wrong and what to do, in the reader's language, with the code in small print; told at once to those who listen. */
import type { DuetError } from '@duet/client';
import { css, html, nothing, type TemplateResult } from 'lit';
import { texts } from '../text/locale';

/** The look of a problem. */
export const problemStyle = css`
  .problem {
    padding: 4px 20px;
    color: var(--bad);
    font-size: 12px;
    text-align: center;
  }
  .problem small {
    color: var(--quiet);
    font-size: inherit;
  }
`;

/** Draws a problem, if there is one. */
export function problem(error: DuetError | undefined): TemplateResult | typeof nothing {
  if (error === undefined) return nothing;
  return html`<p class="problem" role="alert">
    ${texts().error(error.name)}
    <small>${texts().text('error.code', { code: String(error.code) })}</small>
  </p>`;
}
