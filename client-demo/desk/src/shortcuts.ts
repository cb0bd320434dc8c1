/** The desk's shortcuts: one table for what they do and for the list that `?` shows. */
import { texts, type TextKey, theme, Localized } from '@duet/widget';
import { css, html, LitElement, type TemplateResult } from 'lit';

/** What a shortcut asks for. */
export type Action = 'next' | 'previous' | 'take' | 'resolve' | 'help';

const SHORTCUTS: readonly { readonly action: Action; readonly keys: string; readonly text: TextKey }[] = [
  { action: 'next', keys: 'Alt + ↓', text: 'desk.shortcut.next' },
  { action: 'previous', keys: 'Alt + ↑', text: 'desk.shortcut.previous' },
  { action: 'take', keys: 'Alt + T', text: 'desk.shortcut.take' },
  { action: 'resolve', keys: 'Alt + R', text: 'desk.shortcut.resolve' },
  { action: 'help', keys: '?', text: 'desk.shortcut.help' },
];

/** The action that a key asks for; `typing`: the key goes into a text. */
export function actionOf(
  event: Pick<KeyboardEvent, 'altKey' | 'ctrlKey' | 'metaKey' | 'code' | 'key'>,
  typing: boolean,
): Action | undefined {
  if (event.ctrlKey || event.metaKey) return undefined;
  if (!event.altKey) return event.key === '?' && !typing ? 'help' : undefined;
  // By the key's place: with Alt held, macOS types other letters.
  const byCode: Readonly<Record<string, Action>> = {
    ArrowDown: 'next',
    ArrowUp: 'previous',
    KeyT: 'take',
    KeyR: 'resolve',
  };
  return byCode[event.code];
}

/** `<duet-shortcuts>`: the list, in a dialog. */
export class DuetShortcuts extends LitElement {
  static override styles = [
    theme,
    css`
      dialog {
        inline-size: min(400px, calc(100vw - 32px));
        padding: 20px;
        border: 1px solid var(--line);
        border-radius: 12px;
        background: var(--surface);
        color: var(--text);
        box-shadow: var(--float);
        font-size: 14px;
      }
      dialog::backdrop {
        background: rgb(10 12 24 / 35%);
      }
      h2 {
        margin-block-end: 12px;
        font-size: 15px;
      }
      dl > div {
        display: flex;
        justify-content: space-between;
        gap: 16px;
        padding-block: 6px;
        border-block-start: 1px solid var(--line);
      }
      kbd {
        font: inherit;
        color: var(--quiet);
      }
      .button {
        margin-block-start: 16px;
      }
    `,
  ];

  constructor() {
    super();
    new Localized(this);
  }

  show(): void {
    this.renderRoot.querySelector('dialog')?.showModal();
  }

  protected override render(): TemplateResult {
    const say = texts();
    const line = (text: TextKey, keys: string): TemplateResult =>
      html`<div>
        <dt>${say.text(text)}</dt>
        <dd><kbd>${keys}</kbd></dd>
      </div>`;
    return html`<dialog aria-label=${say.text('desk.shortcuts')}>
      <h2>${say.text('desk.shortcuts')}</h2>
      <dl>${SHORTCUTS.map(({ text, keys }) => line(text, keys))} ${line('desk.shortcut.send', 'Enter')}</dl>
      <form method="dialog"><button class="button">${say.text('desk.close')}</button></form>
    </dialog>`;
  }
}

customElements.define('duet-shortcuts', DuetShortcuts);
