/** The banner: says that the connection is away, when that is worth a word, over the list and not instead of it. */
import type { ClientState, DuetClient } from '@duet/client';
import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import { bannerChangesIn, bannerLevel, isAway, type BannerLevel } from '../model/banner';
import { Localized, texts } from '../text/locale';
import { theme } from './theme';
import { Watching } from './watching';

/** `<duet-banner>`; set `client`. Takes no room in the layout. */
export class DuetBanner extends LitElement {
  static override styles = [
    theme,
    css`
      :host {
        position: relative;
        z-index: 2;
        display: block;
        block-size: 0;
      }
      .banner {
        position: absolute;
        inset-inline: 0;
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        justify-content: center;
        gap: 4px 12px;
        padding: 5px 16px;
        border-block-end: 1px solid var(--line);
        background: color-mix(in oklab, var(--warning) 12%, var(--surface));
        font-size: 12px;
      }
      .banner.failed {
        background: color-mix(in oklab, var(--bad) 12%, var(--surface));
      }
      .text {
        text-align: center;
      }
      small {
        color: var(--quiet);
        font-size: inherit;
      }
      .actions {
        display: inline-flex;
        gap: 8px;
      }
      .button {
        min-block-size: 26px;
        padding-block: 0;
        font-size: 12px;
      }
      .banner.line::after {
        position: absolute;
        inset-inline: 0;
        inset-block-end: -1px;
        block-size: 2px;
        content: '';
        background: linear-gradient(90deg, transparent, var(--warning), transparent) 0 0 / 40% 100% no-repeat;
      }
      @media (prefers-reduced-motion: no-preference) {
        .banner.line::after {
          animation: sweep 1.6s linear infinite;
        }
      }
      @keyframes sweep {
        from {
          background-position-x: -60%;
        }
        to {
          background-position-x: 160%;
        }
      }
    `,
  ];
  static override properties = { client: { attribute: false } };
  declare client: DuetClient | undefined;
  #awaySince: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #code = 0;
  #stop: (() => void) | undefined;

  constructor() {
    super();
    new Watching(this, () => this.client);
    new Localized(this);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.#timer);
    this.#stop?.();
  }

  protected override willUpdate(changed: Map<PropertyKey, unknown>): void {
    if (changed.has('client')) {
      this.#stop?.();
      this.#stop = this.client?.on('state', ({ code }) => {
        this.#code = code;
      });
    }
    if (isAway(this.#state)) this.#awaySince ??= performance.now();
    else this.#awaySince = undefined;
    clearTimeout(this.#timer);
    const wait = bannerChangesIn(this.#state, this.#awayMs);
    if (wait === undefined) return;
    // A timer may fire a little early by this clock.
    this.#timer = setTimeout(() => {
      this.requestUpdate();
    }, wait + 1);
  }

  protected override render(): TemplateResult {
    const level = bannerLevel(this.#state, this.#awayMs);
    return html`<div role="status" data-level=${level}>
      ${
        level === 'none'
          ? nothing
          : html`<div class="banner ${level}">
              <span class="text">${this.#text(level)}</span>
              ${level === 'line' ? nothing : this.#actions(level)}
            </div>`
      }
    </div>`;
  }

  #text(level: BannerLevel): unknown {
    const code =
      this.#code === 0
        ? nothing
        : html`<small>${texts().text('error.code', { code: String(this.#code) })}</small>`;
    if (level === 'failed') return html`${texts().text('banner.failed')} ${code}`;
    if (!navigator.onLine) return texts().text('banner.offline');
    if (level === 'offer') return html`${texts().text('banner.offer')} ${code}`;
    return texts().text(this.#state === 'connecting' ? 'banner.connecting' : 'banner.reconnecting');
  }

  #actions(level: BannerLevel): TemplateResult {
    const retry = (): void => {
      this.client?.connect();
    };
    const reload = (): void => {
      location.reload();
    };
    return html`<span class="actions">
      ${
        level === 'offer'
          ? html`<button class="button" type="button" @click=${retry}>
              ${texts().text('banner.retry')}
            </button>`
          : html`<button class="button" type="button" @click=${reload}>
              ${texts().text('banner.reload')}
            </button>`
      }
    </span>`;
  }

  get #state(): ClientState {
    return this.client?.state ?? 'disconnected';
  }

  get #awayMs(): number {
    return this.#awaySince === undefined ? 0 : performance.now() - this.#awaySince;
  }
}

customElements.define('duet-banner', DuetBanner);
