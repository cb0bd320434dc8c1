/** A face made of initials; the name stands beside it, so it says nothing to a screen reader. */
import { css, html, type TemplateResult } from 'lit';
import { hueOf, initials } from '../model/names';

/** The look of avatars, for the elements that draw them. */
export const avatarStyle = css`
  .avatar {
    --tone: oklch(from var(--accent) l calc(c * 0.6) var(--hue));
    display: inline-grid;
    flex: none;
    place-items: center;
    inline-size: 36px;
    block-size: 36px;
    border-radius: 50%;
    background: color-mix(in oklab, var(--tone) 18%, var(--surface));
    color: color-mix(in oklab, var(--tone) 55%, var(--text));
    font-size: 13px;
    font-weight: 600;
    user-select: none;
  }
`;

/** Draws the avatar of a user. */
export function avatar(user: string, name: string): TemplateResult {
  return html`<span class="avatar" style="--hue: ${hueOf(user)}" aria-hidden="true">${initials(name)}</span>`;
}
