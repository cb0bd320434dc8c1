/** The queue: every support conversation that concerns the agent, with what is unread. Arrow keys move through it. */
import type { DuetClient, InboxEntry } from '@duet/client';
import {
  avatar,
  avatarStyle,
  badge,
  badgeStyle,
  customerOf,
  Localized,
  texts,
  theme,
  Ticking,
  Watching,
} from '@duet/widget';
import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { sectionsOf } from './sections';

/** `<duet-queue>`; set `client` and `selected`. Fires `duet-pick` with a conversation's id. */
export class DuetQueue extends LitElement {
  static override styles = [
    theme,
    avatarStyle,
    badgeStyle,
    css`
      :host {
        display: block;
        overflow: auto;
        padding: 4px 8px 16px;
        font-size: 14px;
        scrollbar-width: thin;
        scrollbar-color: var(--line) transparent;
      }
      h3 {
        display: flex;
        justify-content: space-between;
        padding: 14px 8px 4px;
        color: var(--quiet);
        font-size: 12px;
        font-weight: 500;
      }
      .item {
        display: grid;
        grid-template-columns: auto 1fr auto;
        align-items: center;
        gap: 0 10px;
        inline-size: 100%;
        min-block-size: 52px;
        padding: 6px 8px;
        border: 0;
        border-radius: 6px;
        background: none;
        text-align: start;
        cursor: pointer;
      }
      .item:hover {
        background: var(--hover);
      }
      .item[aria-current] {
        background: var(--tint);
      }
      .item:focus-visible {
        outline-offset: -2px;
      }
      .face {
        position: relative;
        display: inline-flex;
      }
      .face duet-presence {
        position: absolute;
        inset-inline-end: -2px;
        inset-block-end: -2px;
        padding: 2px;
        border-radius: 50%;
        background: var(--surface);
      }
      .words {
        min-inline-size: 0;
      }
      .name,
      .about {
        display: block;
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      .name {
        font-weight: 500;
      }
      .unread .name {
        font-weight: 650;
      }
      .about,
      time {
        color: var(--quiet);
        font-size: 12px;
      }
      .end {
        display: flex;
        flex-direction: column;
        align-items: flex-end;
        gap: 3px;
        min-block-size: 36px;
      }
      .empty {
        padding: 32px 16px;
        color: var(--quiet);
        text-align: center;
        text-wrap: balance;
      }
      .empty b {
        display: block;
        color: var(--text);
        font-weight: 500;
      }
      @media (forced-colors: active) {
        .item[aria-current] {
          outline: 2px solid Highlight;
          outline-offset: -2px;
        }
      }
    `,
  ];
  static override properties = { client: { attribute: false }, selected: {} };
  declare client: DuetClient | undefined;
  declare selected: string | undefined;

  constructor() {
    super();
    new Watching(this, () => this.client);
    new Localized(this);
    new Ticking(this, 10_000);
  }

  protected override render(): TemplateResult {
    const { client } = this;
    const sections = sectionsOf(client?.conversations.list ?? [], client?.me?.user ?? '');
    const say = texts();
    if (sections.length === 0) {
      return html`<p class="empty"><b>${say.text('desk.empty')}</b>${say.text('desk.empty.next')}</p>`;
    }
    return html`<div @keydown=${this.#onKey}>
      ${repeat(
        sections,
        section => section.title,
        section => html`
          <h3>
            <span>${say.text(section.title)}</span><span class="figures">${section.entries.length}</span>
          </h3>
          <ul aria-label=${say.text(section.title)}>
            ${repeat(
              section.entries,
              entry => entry.conversation,
              entry => html`<li>${this.#item(entry)}</li>`,
            )}
          </ul>
        `,
      )}
    </div>`;
  }

  #item(entry: InboxEntry): TemplateResult {
    const say = texts();
    const customer = customerOf(entry) ?? { user: entry.conversation, name: say.text('chat.visitor') };
    const now = Date.now() + (this.client?.info.clockOffset ?? 0);
    const pick = (): void => {
      this.dispatchEvent(
        new CustomEvent('duet-pick', { detail: entry.conversation, bubbles: true, composed: true }),
      );
    };
    return html`<button
      class="item ${entry.unread > 0 ? 'unread' : ''}"
      type="button"
      data-conversation=${entry.conversation}
      aria-current=${entry.conversation === this.selected ? 'true' : nothing}
      @click=${pick}
    >
      <span class="face"
        >${avatar(customer.user, customer.name)}<duet-presence
          short
          .client=${this.client}
          .user=${customer.user}
        ></duet-presence
      ></span>
      <span class="words"
        ><span class="name">${customer.name}</span><span class="about">${this.#about(entry)}</span></span
      >
      <span class="end"><time>${say.ago(entry.activeAt, now)}</time>${badge(entry.unread)}</span>
    </button>`;
  }

  #about(entry: InboxEntry): string {
    const agent = entry.members.find(member => member.user === entry.assignee);
    const status = texts().text(`status.${entry.status}`);
    const own = entry.assignee === this.client?.me?.user;
    return entry.subject ?? (agent === undefined || own ? status : `${status} · ${agent.name}`);
  }

  readonly #onKey = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    const items = [...this.renderRoot.querySelectorAll<HTMLButtonElement>('.item')];
    const at = items.indexOf(event.target as HTMLButtonElement);
    items.at((at + step) % items.length)?.focus();
    event.preventDefault();
  };
}

customElements.define('duet-queue', DuetQueue);
