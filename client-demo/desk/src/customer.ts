/** What is known of the customer and the conversation, as plain facts. */
import type { Conversation, DuetClient, InboxEntry } from '@duet/client';
import { avatar, avatarStyle, customerOf, Localized, nameOf, texts, theme, Watching } from '@duet/widget';
import { css, html, LitElement, nothing, type TemplateResult } from 'lit';

/** `<duet-customer>`; set `client`, `conversation` and `entry`. */
export class DuetCustomer extends LitElement {
  static override styles = [
    theme,
    avatarStyle,
    css`
      :host {
        display: block;
        overflow: auto;
        padding: 20px 16px;
        font-size: 14px;
      }
      .who {
        display: flex;
        flex-direction: column;
        align-items: center;
        gap: 8px;
        padding-block-end: 20px;
        text-align: center;
      }
      .who .avatar {
        inline-size: 56px;
        block-size: 56px;
        font-size: 18px;
      }
      h3 {
        font-size: 15px;
        font-weight: 600;
        overflow-wrap: anywhere;
      }
      dl {
        display: grid;
        gap: 12px;
        padding-block-start: 16px;
        border-block-start: 1px solid var(--line);
      }
      dt {
        color: var(--quiet);
        font-size: 12px;
      }
      dd {
        overflow-wrap: anywhere;
        font-variant-numeric: tabular-nums;
      }
      dd.id {
        font-family: ui-monospace, monospace;
        font-size: 12px;
      }
    `,
  ];
  static override properties = {
    client: { attribute: false },
    conversation: { attribute: false },
    entry: { attribute: false },
  };
  declare client: DuetClient | undefined;
  declare conversation: Conversation | undefined;
  declare entry: InboxEntry | undefined;

  constructor() {
    super();
    new Watching(this, () => this.client);
    new Localized(this);
  }

  protected override render(): unknown {
    const { entry, conversation } = this;
    if (entry === undefined) return nothing;
    const say = texts();
    const customer = customerOf(entry);
    const created = conversation?.timeline.find(candidate => candidate.kind === 'created');
    const agent =
      entry.assignee === undefined ? say.text('desk.nobody') : nameOf(conversation, entry.assignee);
    return html`
      <div class="who">
        ${customer === undefined ? nothing : avatar(customer.user, customer.name)}
        <h3>${customer?.name}</h3>
        <duet-presence .client=${this.client} .user=${customer?.user}></duet-presence>
      </div>
      <dl>
        ${this.#fact(say.text('desk.detail.status'), say.text(`status.${entry.status}`))}
        ${this.#fact(say.text('desk.detail.agent'), agent)}
        ${created === undefined ? nothing : this.#fact(say.text('desk.detail.started'), say.moment(created.at))}
        ${this.#fact(say.text('desk.detail.messages'), String(entry.head))}
        ${this.#fact(say.text('desk.detail.user'), customer?.user ?? '', 'id')}
        ${this.#fact(say.text('desk.detail.id'), entry.conversation, 'id')}
      </dl>
    `;
  }

  #fact(name: string, value: string, kind = ''): TemplateResult {
    return html`<div>
      <dt>${name}</dt>
      <dd class=${kind}>${value}</dd>
    </div>`;
  }
}

customElements.define('duet-customer', DuetCustomer);
