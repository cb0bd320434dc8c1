/**
 * Where a message is written. A draft is kept at every keystroke; it goes only when the message has been taken over. Enter
 * sends, Shift + Enter begins a new line, and an input method's Enter does neither.
 */
import { DuetError, type Conversation, type Message } from '@duet/client';
import { Check, Lock, Pencil, Reply, SendHorizontal, X } from 'lucide';
import { css, html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { Drafts } from '../model/drafts';
import { nameOf } from '../model/names';
import type { Task } from '../model/task';
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
      .field.note {
        border-color: color-mix(in oklab, var(--warning) 55%, transparent);
        background: color-mix(in oklab, var(--warning) 10%, var(--surface));
      }
      .toggle {
        min-block-size: 36px;
        padding-inline: 8px;
        border-radius: 8px;
        color: var(--quiet);
      }
      .toggle[aria-pressed='true'] {
        background: color-mix(in oklab, var(--warning) 18%, transparent);
        color: var(--warning);
      }
      .about {
        display: flex;
        align-items: center;
        gap: 10px;
        padding: 2px 4px 4px 8px;
        color: var(--accent);
        font-size: 13px;
      }
      .what {
        display: flex;
        flex: 1;
        flex-direction: column;
        min-inline-size: 0;
      }
      .what b {
        font-weight: 600;
      }
      .what span {
        overflow: hidden;
        color: var(--quiet);
        text-overflow: ellipsis;
        white-space: nowrap;
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
    staff: { type: Boolean },
    text: { state: true },
    task: { state: true },
    note: { state: true },
    problem: { state: true },
  };
  declare conversation: Conversation | undefined;
  declare scope: string;
  /** Whether notes can be written. */
  declare staff: boolean;
  declare text: string;
  /** What is answered or edited. */
  declare task: Task | undefined;
  /** What is written is a note. */
  declare note: boolean;
  declare problem: DuetError | undefined;
  /** Whether this message may be edited. */
  mayEdit: (message: Message) => boolean = () => false;
  #drafts: Drafts | undefined;
  /** What was being written when an edit began. */
  #before = '';

  constructor() {
    super();
    this.scope = '';
    this.text = '';
    this.staff = false;
    this.note = false;
    this.task = undefined;
    this.problem = undefined;
    new Localized(this);
  }

  override focus(options?: FocusOptions): void {
    this.#input?.focus(options);
  }

  /** Answers or edits a message; what was being written comes back after an edit. */
  begin(task: Task): void {
    this.#end();
    this.task = task;
    if (task.type === 'edit') {
      this.#before = this.text;
      this.text = task.message.text;
    } else if (task.message.private && this.staff) this.note = true;
    void this.updateComplete.then(() => {
      this.focus();
    });
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has('scope')) this.#drafts = new Drafts(this.scope);
    if (!changed.has('conversation') || this.conversation === undefined) return;
    this.task = undefined;
    this.note = false;
    this.text = this.#drafts?.get(this.conversation.id) ?? '';
    this.problem = undefined;
  }

  protected override updated(changed: PropertyValues<this>): void {
    if (changed.has('text')) this.#fit();
  }

  protected override render(): TemplateResult {
    const say = texts();
    const label = say.text('composer.label');
    const empty = this.text.trim() === '';
    const note = this.#isNote;
    return html`
      ${this.#about()}
      <form class="field ${note ? 'note' : ''}" @submit=${this.#onSubmit}>
        ${this.staff && this.task?.type !== 'edit' ? this.#noteButton() : nothing}
        <textarea
          rows="1"
          dir="auto"
          aria-label=${label}
          aria-description=${note ? say.text('composer.note.title') : nothing}
          placeholder=${say.text(note ? 'composer.note.placeholder' : 'composer.placeholder')}
          title=${say.text('composer.hint')}
          enterkeyhint="send"
          .value=${this.text}
          @input=${this.#onInput}
          @keydown=${this.#onKey}
          @blur=${this.#onBlur}
        ></textarea>
        <button class="button primary send" type="submit" aria-disabled=${empty ? 'true' : nothing}>
          ${this.task?.type === 'edit' ? icon(Check) : icon(SendHorizontal)}<span
            >${say.text(this.task?.type === 'edit' ? 'composer.save' : 'composer.send')}</span
          >
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

  /** What the message under way is about, and the way out. */
  #about(): unknown {
    const { task } = this;
    if (task === undefined) return nothing;
    const say = texts();
    const { message, type } = task;
    const name = message.own ? say.text('log.you') : nameOf(this.conversation, message.author);
    const title = type === 'edit' ? say.text('composer.edit') : say.text('composer.reply', { name });
    return html`<div class="about">
      ${icon(type === 'edit' ? Pencil : Reply)}
      <span class="what"><b>${title}</b><span dir="auto">${message.text}</span></span>
      <button
        class="button bare icon"
        type="button"
        title=${say.text('composer.cancel')}
        @click=${this.#onCancel}
      >
        ${icon(X)}<span class="hidden-visually">${say.text('composer.cancel')}</span>
      </button>
    </div>`;
  }

  #noteButton(): TemplateResult {
    const say = texts();
    return html`<button
      class="button bare toggle"
      type="button"
      aria-pressed=${this.note ? 'true' : 'false'}
      title=${say.text('composer.note.title')}
      @click=${() => {
        this.note = !this.note;
        this.focus();
      }}
    >
      ${icon(Lock)}${say.text('composer.note')}
    </button>`;
  }

  get #isNote(): boolean {
    return this.note && this.staff && this.task?.type !== 'edit';
  }

  readonly #onCancel = (): void => {
    this.#end();
    this.focus();
  };

  /** Leaves what was answered or edited; a message that was being written before an edit is there again. */
  #end(): void {
    if (this.task?.type === 'edit') this.text = this.#before;
    this.task = undefined;
    this.problem = undefined;
  }

  readonly #onInput = (): void => {
    this.#keep(this.#input?.value ?? '');
    if (this.#isNote) return;
    if (this.text === '') this.conversation?.typing.stop();
    else this.conversation?.typing.keystroke();
  };

  readonly #onKey = (event: KeyboardEvent): void => {
    if (event.key === 'Escape' && this.task !== undefined) {
      event.preventDefault();
      this.#end();
    }
    if (event.key === 'ArrowUp' && this.text === '' && this.task === undefined) this.#editLast(event);
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
      this.#say(this.conversation, text);
    } catch (error) {
      if (!(error instanceof DuetError)) throw error;
      this.problem = error;
      return;
    }
    if (this.task?.type === 'edit') {
      this.#end();
      return;
    }
    this.task = undefined;
    this.problem = undefined;
    this.#keep('');
    this.dispatchEvent(new CustomEvent('duet-sent', { bubbles: true, composed: true }));
  }

  /** What becomes of it is shown at the message itself. */
  #say(conversation: Conversation, text: string): void {
    const { task } = this;
    const seq = task?.message.seq;
    if (task?.type === 'edit' && seq !== undefined) {
      if (text === task.message.text) return;
      conversation
        .edit(seq, text)
        .accepted()
        .catch(() => undefined);
      return;
    }
    const options = seq === undefined ? {} : { replyTo: seq };
    const sent = this.#isNote ? conversation.note(text, options) : conversation.send(text, options);
    sent.accepted().catch(() => undefined);
  }

  /** The last own message, where the server lets it be changed: as in other messengers. */
  #editLast(event: KeyboardEvent): void {
    const last = this.conversation?.messages.findLast(({ own, seq }) => own && seq !== undefined);
    if (last === undefined || !this.mayEdit(last)) return;
    event.preventDefault();
    this.begin({ type: 'edit', message: last });
  }

  #keep(text: string): void {
    this.text = text;
    if (this.task?.type === 'edit') return;
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
