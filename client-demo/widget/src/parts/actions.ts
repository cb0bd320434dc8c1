/**
 * What can be done with a message: a quiet button beside it that opens a menu with reactions, reply, edit and delete. The list
 * of messages has one tab stop for all of these buttons; arrow keys lead from one to the next.
 */
import { Ellipsis, Pencil, Reply, Trash2 } from 'lucide';
import type { IconNode } from 'lucide';
import { css, html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { styleMap } from 'lit/directives/style-map.js';
import type { TextKey } from '../text/en';
import { Localized, texts } from '../text/locale';
import { icon } from './icons';
import { theme } from './theme';

/** What a message's menu asks for. */
export type MessageAct =
  { readonly type: 'reply' | 'edit' | 'delete' } | { readonly type: 'react'; readonly emoji: string };

/** Reactions that are one press away. */
export const REACTIONS = ['👍', '❤️', '😂', '🎉', '😮', '🙏'] as const;
/** Less room than this above the button, and the menu opens below it, CSS pixels. */
const ROOM_PX = 190;
/** How wide the menu is at most, CSS pixels. */
const WIDE_PX = 250;

/** `<duet-actions>`; set `label`, `may` and `stop`. Fires `duet-act` with a {@link MessageAct}. */
export class DuetActions extends LitElement {
  static override styles = [
    theme,
    css`
      :host {
        position: relative;
        display: block;
        flex: none;
        align-self: center;
      }
      .opener {
        display: grid;
        inline-size: 28px;
        block-size: 28px;
        place-items: center;
        border: 0;
        border-radius: 6px;
        background: none;
        color: var(--quiet);
        cursor: pointer;
        opacity: var(--opener, 0);
        transition: opacity 120ms;
      }
      .opener:hover {
        background: var(--hover);
        color: var(--text);
      }
      .opener:focus-visible,
      :host([open]) .opener,
      :host(:hover) .opener {
        opacity: 1;
      }
      .menu {
        position: absolute;
        z-index: 2;
        inset-block-end: calc(100% + 4px);
        inline-size: max-content;
        padding: 4px;
        border: 1px solid var(--line);
        border-radius: 12px;
        background: var(--surface);
        box-shadow: var(--float);
        font-size: 14px;
      }
      .menu.below {
        inset-block: calc(100% + 4px) auto;
      }
      .row {
        display: flex;
        gap: 2px;
        padding-block-end: 4px;
        margin-block-end: 4px;
        border-block-end: 1px solid var(--line);
      }
      .row:last-child {
        padding: 0;
        margin: 0;
        border: 0;
      }
      [role='menuitem'] {
        display: flex;
        align-items: center;
        gap: 10px;
        inline-size: 100%;
        min-block-size: 32px;
        padding: 4px 10px;
        border: 0;
        border-radius: 8px;
        background: none;
        text-align: start;
        cursor: pointer;
      }
      .row [role='menuitem'] {
        justify-content: center;
        inline-size: 34px;
        block-size: 34px;
        padding: 0;
        font-size: 18px;
      }
      [role='menuitem']:hover,
      [role='menuitem']:focus-visible {
        background: var(--hover);
      }
      [role='menuitem'] svg {
        color: var(--quiet);
      }
      .danger,
      .danger svg {
        color: var(--bad);
      }
      @media (hover: none) {
        .opener {
          opacity: 0.6;
        }
      }
      @media (prefers-reduced-motion: no-preference) {
        .menu {
          animation: open 120ms ease-out;
        }
      }
      @keyframes open {
        from {
          opacity: 0;
          translate: 0 4px;
        }
      }
    `,
  ];
  static override properties = {
    label: {},
    may: { attribute: false },
    stop: { type: Boolean },
    open: { type: Boolean, reflect: true },
    below: { state: true },
    shift: { state: true },
  };
  declare label: string;
  /** What this reader may do. */
  declare may: readonly MessageAct['type'][];
  /** The list's one tab stop among these buttons. */
  declare stop: boolean;
  declare open: boolean;
  declare below: boolean;
  declare shift: number;

  constructor() {
    super();
    this.label = '';
    this.may = [];
    this.shift = 0;
    this.stop = false;
    this.open = false;
    this.below = false;
    new Localized(this);
    this.addEventListener('focusout', event => {
      if (!this.contains(event.relatedTarget as Node | null)) this.open = false;
    });
  }

  override focus(): void {
    this.renderRoot.querySelector<HTMLElement>('.opener')?.focus();
  }

  protected override updated(changed: PropertyValues<this>): void {
    if (changed.has('open') && this.open) this.#items[0]?.focus();
  }

  protected override render(): TemplateResult {
    return html`<button
        class="opener"
        type="button"
        tabindex=${this.stop ? 0 : -1}
        aria-haspopup="menu"
        aria-expanded=${this.open ? 'true' : 'false'}
        aria-label=${texts().text('actions.open', { text: this.label })}
        title=${texts().text('actions.title')}
        @click=${this.#toggle}
      >
        ${icon(Ellipsis)}
      </button>
      ${this.open ? this.#menu() : nothing}`;
  }

  #menu(): TemplateResult {
    return html`<div
      class="menu ${this.below ? 'below' : ''}"
      style=${styleMap({ 'inset-inline-start': `${this.shift}px` })}
      role="menu"
      @keydown=${this.#onKey}
    >
      ${this.may.includes('react') ? html`<div class="row">${REACTIONS.map(emoji => this.#reaction(emoji))}</div>` : nothing}
      ${this.#item('reply', Reply, 'actions.reply')} ${this.#item('edit', Pencil, 'actions.edit')}
      ${this.#item('delete', Trash2, 'actions.delete')}
    </div>`;
  }

  #reaction(emoji: string): TemplateResult {
    return html`<button
      role="menuitem"
      type="button"
      tabindex="-1"
      aria-label=${texts().text('actions.react', { emoji })}
      @click=${() => {
        this.#act({ type: 'react', emoji });
      }}
    >
      ${emoji}
    </button>`;
  }

  #item(type: 'reply' | 'edit' | 'delete', image: IconNode, text: TextKey): unknown {
    if (!this.may.includes(type)) return nothing;
    return html`<button
      class=${type === 'delete' ? 'danger' : ''}
      role="menuitem"
      type="button"
      tabindex="-1"
      @click=${() => {
        this.#act({ type });
      }}
    >
      ${icon(image)}${texts().text(text)}
    </button>`;
  }

  /** Opens where there is room for it within the list. */
  readonly #toggle = (): void => {
    const { top, left, right } = this.getBoundingClientRect();
    const list = this.closest('.log')?.getBoundingClientRect();
    this.below = top - (list?.top ?? 0) < ROOM_PX;
    const isLeftToRight = getComputedStyle(this).direction === 'ltr';
    const room = isLeftToRight ? (list?.right ?? innerWidth) - left : right - (list?.left ?? 0);
    this.shift = Math.min(0, room - WIDE_PX);
    this.open = !this.open;
  };

  readonly #onKey = (event: KeyboardEvent): void => {
    const items = this.#items;
    const at = items.findIndex(item => item === (this.renderRoot as ShadowRoot).activeElement);
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (event.key === 'Escape') {
      this.open = false;
      this.focus();
    } else if (step !== undefined) items[(at + step + items.length) % items.length]?.focus();
    else if (event.key === 'Home') items[0]?.focus();
    else if (event.key === 'End') items.at(-1)?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  #act(act: MessageAct): void {
    this.open = false;
    if (act.type === 'react') this.focus();
    this.dispatchEvent(new CustomEvent<MessageAct>('duet-act', { detail: act, bubbles: true }));
  }

  get #items(): HTMLElement[] {
    return [...this.renderRoot.querySelectorAll<HTMLElement>('[role=menuitem]')];
  }
}

customElements.define('duet-actions', DuetActions);
