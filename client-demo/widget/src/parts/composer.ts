/**
 * Where a message is written. A draft is kept at every keystroke; it goes only when the message has been taken over. Enter
 * sends, Shift + Enter begins a new line, and an input method's Enter does neither.
 */
import { DuetError, type Conversation } from '@duet/client';
import { SendHorizontal } from 'lucide';
import { css, html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { Drafts } from '../model/drafts';
import { Localized, texts } from '../text/locale';
import { icon } from './icons';
import { theme } from './theme';

const LINES_PX_MAX = 168;

/** `<duet-composer>`; set `conversation` and `scope`. Fires `duet-sent` after each message. */
export class DuetComposer extends LitElement {
  static override styles = [
    theme,
    css`
      :host {
        display: block;
        padding: 4px 12px 12px;
      }
      .field {
        display: flex;
        align-items: flex-end;
        gap: 4px;
        padding: 4px;
        border: 1px solid var(--line);
        border-radius: 12px;
        background: var(--surface);
        transition: border-color 120ms;
      }
      .field:focus-within {
        border-color: var(--accent);
        box-shadow: 0 0 0 3px color-mix(in oklab, var(--accent) 18%, transparent);
      }
      textarea {
        flex: 1;
        min-inline-size: 0;
        min-block-size: 36px;
        max-block-size: 168px;
        padding: 7px 8px;
        border: 0;
        background: none;
        line-height: 1.45;
        resize: none;
      }
      textarea:focus-visible {
        outline: none;
      }
      textarea::placeholder {
        color: var(--quiet);
        opacity: 1;
      }
      .send {
        min-block-size: 36px;
        padding-inline: 10px;
        border-radius: 8px;
      }
      .send:dir(rtl) svg {
        scale: -1 1;
      }
      .problem {
        margin: 6px 4px 0;
        color: var(--bad);
        font-size: 12px;
      }
      .problem small {
        color: var(--quiet);
        font-size: inherit;
      }
      @media (forced-colors: active) {
        .field:focus-within {
          outline: 2px solid Highlight;
        }
      }
    `,
  ];
  static override properties = {
    conversation: { attribute: false },
    scope: {},
    text: { state: true },
    problem: { state: true },
  };
  declare conversation: Conversation | undefined;
  declare scope: string;
  declare text: string;
  declare problem: DuetError | undefined;
  #drafts: Drafts | undefined;

  constructor() {
    super();
    this.scope = '';
    this.text = '';
    this.problem = undefined;
    new Localized(this);
  }

  override focus(options?: FocusOptions): void {
    this.#input?.focus(options);
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has('scope')) this.#drafts = new Drafts(this.scope);
    if (!changed.has('conversation') || this.conversation === undefined) return;
    this.text = this.#drafts?.get(this.conversation.id) ?? '';
    this.problem = undefined;
  }

  protected override updated(changed: PropertyValues<this>): void {
    if (changed.has('text')) this.#fit();
  }

  protected override render(): TemplateResult {
    const label = texts().text('composer.label');
    const empty = this.text.trim() === '';
    return html`
      <form class="field" @submit=${this.#onSubmit}>
        <textarea
          rows="1"
          dir="auto"
          aria-label=${label}
          placeholder=${texts().text('composer.placeholder')}
          title=${texts().text('composer.hint')}
          enterkeyhint="send"
          .value=${this.text}
          @input=${this.#onInput}
          @keydown=${this.#onKey}
          @blur=${this.#onBlur}
        ></textarea>
        <button class="button primary send" type="submit" aria-disabled=${empty ? 'true' : nothing}>
          ${icon(SendHorizontal)}<span>${texts().text('composer.send')}</span>
        </button>
      </form>
      <div role="alert">
        ${
          this.problem === undefined
            ? nothing
            : html`<p class="problem">
                ${texts().error(this.problem.name)}
                <small>${texts().text('error.code', { code: String(this.problem.code) })}</small>
              </p>`
        }
      </div>
    `;
  }

  readonly #onInput = (): void => {
    this.#keep(this.#input?.value ?? '');
    if (this.text === '') this.conversation?.typing.stop();
    else this.conversation?.typing.keystroke();
  };

  readonly #onKey = (event: KeyboardEvent): void => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#send();
  };

  readonly #onBlur = (): void => {
    this.conversation?.typing.stop();
  };

  readonly #onSubmit = (event: SubmitEvent): void => {
    event.preventDefault();
    this.#send();
    this.focus();
  };

  #send(): void {
    const text = this.text.trim();
    if (text === '' || this.conversation === undefined) return;
    try {
      // What becomes of it is shown at the message itself.
      this.conversation
        .send(text)
        .accepted()
        .catch(() => undefined);
    } catch (error) {
      if (!(error instanceof DuetError)) throw error;
      this.problem = error;
      return;
    }
    this.problem = undefined;
    this.#keep('');
    this.dispatchEvent(new CustomEvent('duet-sent', { bubbles: true, composed: true }));
  }

  #keep(text: string): void {
    this.text = text;
    if (this.conversation !== undefined) this.#drafts?.set(this.conversation.id, text);
  }

  /** As high as the text, up to seven lines. */
  #fit(): void {
    const input = this.#input;
    if (input === null) return;
    input.style.blockSize = 'auto';
    const wanted = input.scrollHeight;
    input.style.blockSize = `${Math.min(wanted, LINES_PX_MAX)}px`;
    input.style.overflowY = wanted > LINES_PX_MAX ? 'auto' : 'hidden';
  }

  get #input(): HTMLTextAreaElement | null {
    return this.renderRoot.querySelector('textarea');
  }
}

customElements.define('duet-composer', DuetComposer);
