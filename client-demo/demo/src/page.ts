/**
 * The demo page: a visitor's chat and an agent's desk side by side; in a narrow window one at a time; with `?as=visitor` or
 * `?as=agent` one alone, so that two windows or two browsers can talk.
 */
import type { DuetClient } from '@duet/client';
import '@duet/desk';
import {
  badge,
  badgeStyle,
  type DuetChat,
  icon,
  LANGUAGES,
  type Language,
  Localized,
  setLanguage,
  texts,
  theme,
  Watching,
} from '@duet/widget';
import { html, LitElement, nothing, type TemplateResult } from 'lit';
import { ExternalLink, Languages, SunMoon } from 'lucide';
import { Access } from './access';
import { pageStyle } from './page.style';
import './pair';
import {
  type Appearance,
  isNamed,
  onlySide,
  personOf,
  recall,
  remember,
  type Side,
  storedAppearance,
  storedLanguage,
} from './settings';

const APPEARANCES = ['auto', 'light', 'dark'] as const satisfies readonly Appearance[];
const SIDES = ['visitor', 'agent'] as const satisfies readonly Side[];
const narrow = matchMedia('(width < 1000px)');

/** `<duet-demo>`. */
export class DuetDemo extends LitElement {
  static override styles = [theme, badgeStyle, pageStyle];
  static override properties = {
    visitor: { state: true },
    agent: { state: true },
    tab: { state: true },
    trouble: { state: true },
  };
  declare visitor: DuetClient | undefined;
  declare agent: DuetClient | undefined;
  declare tab: Side;
  declare trouble: boolean;
  readonly #access = { visitor: new Access(personOf('visitor')), agent: new Access(personOf('agent')) };
  readonly #only = onlySide();
  #appearance = storedAppearance();

  constructor() {
    super();
    this.tab = 'visitor';
    this.trouble = false;
    new Localized(this);
    new Watching(this, () => this.visitor);
    new Watching(this, () => this.agent);
    if (this.#only !== undefined) this.dataset['only'] = this.#only;
    narrow.addEventListener('change', () => {
      this.requestUpdate();
    });
    setLanguage(storedLanguage() ?? texts().language);
    this.#applyAppearance();
    void this.#open();
  }

  protected override updated(): void {
    const unread = SIDES.reduce((sum, side) => sum + this.#unread(side), 0);
    document.title = `${unread > 0 ? `(${unread}) ` : ''}${texts().text('page.title')}`;
  }

  protected override render(): TemplateResult {
    const sides = this.#only === undefined ? SIDES : [this.#only];
    return html`
      <header>
        <div class="bar">
          <h1><img src="/icon.svg" width="24" height="24" alt="" />Duet</h1>
          ${this.#choices()}
        </div>
        ${this.#isPair() ? html`<duet-demo-pair></duet-demo-pair>` : nothing}
        ${narrow.matches && this.#only === undefined ? this.#tabs() : nothing}
      </header>
      <main>${sides.map(side => this.#panel(side))}</main>
    `;
  }

  #isPair(): boolean {
    return SIDES.some(side => this.#access[side].isPair);
  }

  #choices(): TemplateResult {
    const say = texts();
    return html`
      <label>
        ${icon(Languages)}<span class="hidden-visually">${say.text('page.language')}</span>
        <select aria-label=${say.text('page.language')} @change=${this.#onLanguage}>
          ${Object.entries(LANGUAGES).map(
            ([tag, name]) =>
              html`<option value=${tag} lang=${tag} ?selected=${tag === say.language}>${name}</option>`,
          )}
        </select>
      </label>
      <label>
        ${icon(SunMoon)}<span class="hidden-visually">${say.text('page.theme')}</span>
        <select aria-label=${say.text('page.theme')} @change=${this.#onAppearance}>
          ${APPEARANCES.map(
            each =>
              html`<option value=${each} ?selected=${each === this.#appearance}>
                ${say.text(`page.theme.${each}`)}
              </option>`,
          )}
        </select>
      </label>
    `;
  }

  #tabs(): TemplateResult {
    return html`<div class="tabs" role="tablist" @keydown=${this.#onTabKey}>
      ${SIDES.map(side => {
        const unread = this.tab === side ? 0 : this.#unread(side);
        return html`<button
          class="tab"
          type="button"
          role="tab"
          id="tab-${side}"
          aria-controls="panel-${side}"
          aria-selected=${this.tab === side ? 'true' : 'false'}
          tabindex=${this.tab === side ? 0 : -1}
          @click=${() => {
            this.tab = side;
          }}
        >
          ${texts().text(`page.${side}`)} ${badge(unread)}
        </button>`;
      })}
    </div>`;
  }

  #panel(side: Side): TemplateResult {
    const say = texts();
    const tabbed = narrow.matches && this.#only === undefined;
    return html`<section
      class="panel ${side}"
      id="panel-${side}"
      role=${tabbed ? 'tabpanel' : 'region'}
      aria-label=${say.text(`page.${side}`)}
      ?hidden=${tabbed && this.tab !== side}
    >
      <div class="caption">
        <b>${say.text(`page.${side}`)}</b><span>${say.text(`page.${side}.note`)}</span>
        ${
          this.#only === undefined
            ? html`<a
                class="button bare icon"
                href="?as=${side}"
                target="_blank"
                rel="noopener"
                title=${say.text('page.window')}
                >${icon(ExternalLink)}<span class="hidden-visually"
                  >${say.text(`page.${side}`)}: ${say.text('page.window')}</span
                ></a
              >`
            : nothing
        }
      </div>
      <div class="card">${this.trouble ? this.#troubled() : this.#side(side)}</div>
    </section>`;
  }

  #side(side: Side): unknown {
    const { user, name } = this.#access[side].person;
    const client = this[side];
    if (client === undefined) return nothing;
    if (side === 'agent') return html`<duet-desk .client=${client} scope="agent.${user}"></duet-desk>`;
    return html`<duet-chat
      .client=${client}
      scope="visitor.${user}"
      name=${name}
      @duet-name=${this.#onName}
      @duet-started=${this.#onStarted}
      @duet-ended=${this.#onEnded}
    ></duet-chat>`;
  }

  #troubled(): TemplateResult {
    return html`<div class="trouble" role="alert">
      <p>${texts().text('page.unreachable')}</p>
      <button class="button" type="button" @click=${this.#open}>${texts().text('message.retry')}</button>
    </div>`;
  }

  readonly #open = async (): Promise<void> => {
    this.trouble = false;
    try {
      const sides = this.#only === undefined ? SIDES : [this.#only];
      await Promise.all(
        sides.map(async side => {
          this[side] ??= await this.#access[side].open();
        }),
      );
    } catch {
      this.trouble = true;
      return;
    }
    await this.updateComplete;
    const started = recall(this.#startedKey) !== null || isNamed('visitor');
    if (started) await this.renderRoot.querySelector<DuetChat>('duet-chat')?.start();
  };

  readonly #onName = (event: CustomEvent<string>): void => {
    const access = this.#access.visitor;
    const { client, changed } = { client: this.visitor, changed: access.name !== event.detail };
    access.name = event.detail;
    remember('visitor.name', event.detail === '' ? undefined : event.detail);
    // A name travels in the token: whoever is connected under another one begins anew.
    if (changed && client !== undefined && client.state !== 'disconnected') void client.close();
  };

  readonly #onStarted = (): void => {
    remember(this.#startedKey, 'yes');
  };

  readonly #onEnded = (): void => {
    remember(this.#startedKey, undefined);
  };

  readonly #onLanguage = (event: Event): void => {
    const language = (event.target as HTMLSelectElement).value as Language;
    remember('language', language);
    setLanguage(language);
  };

  readonly #onAppearance = (event: Event): void => {
    this.#appearance = (event.target as HTMLSelectElement).value as Appearance;
    remember('appearance', this.#appearance);
    this.#applyAppearance();
  };

  readonly #onTabKey = (event: KeyboardEvent): void => {
    if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
    this.tab = this.tab === 'visitor' ? 'agent' : 'visitor';
    this.renderRoot.querySelector<HTMLElement>(`#tab-${this.tab}`)?.focus();
  };

  #applyAppearance(): void {
    document.documentElement.style.colorScheme = this.#appearance === 'auto' ? '' : this.#appearance;
  }

  #unread(side: Side): number {
    if (side === 'agent') return this.agent?.conversations.unread ?? 0;
    if (this.visitor?.state === undefined || this.visitor.state === 'disconnected') return 0;
    return this.visitor.chat.conversation?.unread ?? 0;
  }

  get #startedKey(): string {
    return `started.${this.#access.visitor.person.user}`;
  }
}

customElements.define('duet-demo', DuetDemo);
