/** A conversation to read and to write in: list, who types, composer. What stands instead of the composer is the `notice` slot. */
import type { Conversation, DuetClient, Message } from '@duet/client';
import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import { nameOf } from '../model/names';
import { isStaff, mayDo, type Task } from '../model/task';
import { Localized, texts } from '../text/locale';
import './composer';
import type { DuetComposer } from './composer';
import './messages';
import type { DuetMessages } from './messages';
import { theme } from './theme';
import { Watching } from './watching';

/** `<duet-conversation>`; `mute` hides the composer, `scope` names this reader's drafts and places. */
export class DuetConversation extends LitElement {
  static override styles = [
    theme,
    css`
      :host {
        display: flex;
        flex-direction: column;
        min-block-size: 0;
      }
      duet-messages {
        flex: 1;
      }
      .typing {
        display: flex;
        align-items: center;
        gap: 8px;
        block-size: 24px;
        padding-inline: 20px;
        color: var(--quiet);
        font-size: 12px;
      }
      .dots {
        display: inline-flex;
        gap: 3px;
      }
      .dots i {
        inline-size: 5px;
        block-size: 5px;
        border-radius: 50%;
        background: currentColor;
        opacity: 0.45;
      }
      @media (prefers-reduced-motion: no-preference) {
        .dots i {
          animation: beat 1.2s infinite;
        }
        .dots i:nth-child(2) {
          animation-delay: 0.15s;
        }
        .dots i:nth-child(3) {
          animation-delay: 0.3s;
        }
      }
      @keyframes beat {
        30% {
          opacity: 1;
        }
      }
    `,
  ];
  static override properties = {
    client: { attribute: false },
    conversation: { attribute: false },
    scope: {},
    mute: { type: Boolean },
  };
  declare client: DuetClient | undefined;
  declare conversation: Conversation | undefined;
  declare scope: string;
  declare mute: boolean;

  constructor() {
    super();
    this.scope = '';
    this.mute = false;
    new Watching(this, () => this.client);
    new Localized(this);
  }

  override focus(options?: FocusOptions): void {
    this.renderRoot.querySelector<DuetComposer>('duet-composer')?.focus(options);
  }

  protected override render(): TemplateResult {
    return html`
      <duet-messages
        .client=${this.client}
        .conversation=${this.conversation}
        .scope=${this.scope}
        ?mute=${this.mute}
        @duet-task=${this.#onTask}
      ></duet-messages>
      <div class="typing">${this.#typing()}</div>
      <slot name="notice"></slot>
      ${
        this.mute
          ? nothing
          : html`<duet-composer
              .conversation=${this.conversation}
              .scope=${this.scope}
              ?staff=${isStaff(this.client)}
              .mayEdit=${(message: Message) => mayDo(message, this.client, false).includes('edit')}
              @duet-sent=${this.#onSent}
            ></duet-composer>`
      }
    `;
  }

  #typing(): unknown {
    // What was known before the connection went is no longer known.
    const typists = this.client?.state === 'connected' ? (this.conversation?.typists ?? []) : [];
    const [first] = typists;
    if (first === undefined) return nothing;
    const text =
      typists.length === 1
        ? texts().text('typing.one', { name: nameOf(this.conversation, first) })
        : texts().text('typing.several', { count: typists.length });
    return html`<span class="dots" aria-hidden="true"><i></i><i></i><i></i></span><span>${text}</span>`;
  }

  readonly #onTask = (event: CustomEvent<Task>): void => {
    const composer = this.renderRoot.querySelector<DuetComposer>('duet-composer');
    composer?.begin(event.detail);
  };

  readonly #onSent = (): void => {
    this.renderRoot.querySelector<DuetMessages>('duet-messages')?.wrote();
  };
}

customElements.define('duet-conversation', DuetConversation);
