/** A card inside a message: title, text, picture, fields, buttons; and the quick replies below the last message. All of it drawn as text. */
import type { Card, QuickReply } from '@duet/client';
import { ExternalLink } from 'lucide';
import { css, html, nothing, type TemplateResult } from 'lit';
import { icon } from './icons';

/** Hears which answer was chosen. */
export type Choose = (choice: QuickReply) => void;

/** Draws a card; without `choose` its answers cannot be pressed. */
export function drawCard(card: Card, choose: Choose | undefined): TemplateResult {
  const { title, text, image, fields = [], buttons = [] } = card;
  const answered = card.reply !== undefined && title === undefined && text === undefined;
  return html`<div class="content-card">
    ${
      image === undefined
        ? nothing
        : html`<img
            src=${image.url}
            alt=${image.alt}
            width=${image.width ?? nothing}
            height=${image.height ?? nothing}
            loading="lazy"
            referrerpolicy="no-referrer"
          />`
    }
    ${title === undefined ? nothing : html`<b class="title">${title}</b>`}
    ${text === undefined ? nothing : html`<span class="text">${text}</span>`}
    ${answered ? html`<span class="text">${card.fallback}</span>` : nothing}
    ${
      fields.length === 0
        ? nothing
        : html`<dl>
            ${fields.map(
              ({ label, value, short }) =>
                html`<div class=${short ? 'short' : ''}>
                  <dt>${label}</dt>
                  <dd>${value}</dd>
                </div>`,
            )}
          </dl>`
    }
    ${buttons.length === 0 ? nothing : html`<div class="buttons">${buttons.map(each => drawButton(each, choose))}</div>`}
  </div>`;
}

/** Draws the answers that a card offers. */
export function drawQuickReplies(replies: readonly QuickReply[], choose: Choose): TemplateResult {
  return html`<div class="quick">
    ${replies.map(
      reply =>
        html`<button
          class="chip answer"
          type="button"
          @click=${() => {
            choose(reply);
          }}
        >
          ${reply.label}
        </button>`,
    )}
  </div>`;
}

function drawButton(
  button: NonNullable<Card['buttons']>[number],
  choose: Choose | undefined,
): TemplateResult {
  if ('url' in button) {
    return html`<a class="button" href=${button.url} target="_blank" rel="noopener noreferrer"
      >${button.label}${icon(ExternalLink, 14)}</a
    >`;
  }
  return html`<button
    class="button"
    type="button"
    ?disabled=${choose === undefined}
    @click=${() => {
      choose?.(button);
    }}
  >
    ${button.label}
  </button>`;
}

/** The look of cards and quick replies. */
export const cardStyle = css`
  .content-card {
    display: flex;
    flex-direction: column;
    gap: 8px;
    min-inline-size: min(260px, 60vw);
    padding-block: 3px;
  }
  .content-card img {
    max-inline-size: 100%;
    block-size: auto;
    border-radius: 8px;
    background: var(--line);
  }
  .content-card .title {
    font-weight: 600;
  }
  .content-card dl {
    display: grid;
    grid-template-columns: 1fr 1fr;
    gap: 6px 16px;
    padding-block: 8px;
    border-block: 1px solid var(--line);
    font-size: 14px;
  }
  .content-card dl > div {
    grid-column: 1 / -1;
    min-inline-size: 0;
    overflow-wrap: anywhere;
  }
  .content-card dl > .short {
    grid-column: auto;
  }
  .content-card dt {
    color: var(--quiet);
    font-size: 12px;
  }
  .content-card .buttons {
    display: flex;
    flex-wrap: wrap;
    gap: 6px;
  }
  .content-card .button {
    flex: 1 0 auto;
    color: var(--accent);
    font-weight: 600;
    text-decoration: none;
  }
  .quick {
    display: flex;
    flex-wrap: wrap;
    justify-content: flex-end;
    gap: 6px;
    padding-block: 12px 4px;
  }
  .answer {
    min-block-size: 34px;
    padding-inline: 14px;
    border-color: var(--accent);
    border-radius: 17px;
    color: var(--accent);
    font-size: 14px;
    font-weight: 500;
  }
  .answer:hover {
    background: var(--tint);
  }
`;
