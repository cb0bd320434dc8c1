/** Somebody's presence: a mark and a word. While the connection is away it is the last known one, greyed, with its age. */
import type { DuetClient } from '@duet/client';
import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import { presenceLook } from '../model/presence';
import { Localized, texts } from '../text/locale';
import { mark } from './icons';
import { theme } from './theme';
import { Ticking, Watching } from './watching';

/** `<duet-presence>`; set `client` and `user`; `short` shows the mark alone, with the word as its title. */
export class DuetPresence extends LitElement {
  static override styles = [
    theme,
    css`
      :host {
        display: inline-flex;
        color: var(--quiet);
        font-size: 12px;
      }
      .presence {
        display: inline-flex;
        align-items: center;
        gap: 5px;
        min-inline-size: 0;
      }
      .online {
        color: var(--good);
      }
      .away,
      .unsure {
        color: var(--warning);
      }
      .busy {
        color: var(--bad);
      }
      .stale svg {
        color: var(--quiet);
      }
    `,
  ];
  static override properties = { client: { attribute: false }, user: {}, short: { type: Boolean } };
  declare client: DuetClient | undefined;
  declare user: string | undefined;
  declare short: boolean;
  #knownAt = Date.now();

  constructor() {
    super();
    this.short = false;
    new Watching(this, () => this.client);
    new Localized(this);
    new Ticking(this, 5_000);
  }

  protected override willUpdate(changed: Map<PropertyKey, unknown>): void {
    if (this.client?.state === 'connected') this.#knownAt = Date.now();
    if (!changed.has('user') && !changed.has('client')) return;
    // Refused for those with whom no conversation is shared: then nothing is known, and nothing is shown.
    if (this.user !== undefined) this.client?.presence.watch([this.user]).catch(() => undefined);
  }

  protected override render(): unknown {
    const presence = this.user === undefined ? undefined : this.client?.presence.get(this.user);
    const look = presenceLook(presence);
    if (look === undefined || presence === undefined) return nothing;
    const fresh = this.client?.state === 'connected';
    const word = this.#word(texts().text(look.text), presence.lastSeen, look.shape === 'offline', fresh);
    return this.#draw(word, html`<span class=${fresh ? 'fresh' : 'stale'}>${mark(look.shape)}</span>`);
  }

  #draw(word: string, shape: TemplateResult): TemplateResult {
    if (!this.short) return html`<span class="presence">${shape}<span>${word}</span></span>`;
    return html`<span class="presence" title=${word}
      >${shape}<span class="hidden-visually">${word}</span></span
    >`;
  }

  #word(state: string, lastSeen: number, offline: boolean, fresh: boolean): string {
    const say = texts();
    if (!fresh) return say.text('presence.stale', { state, when: say.ago(this.#knownAt, Date.now()) });
    if (!offline || lastSeen === 0) return state;
    const now = Date.now() + (this.client?.info.clockOffset ?? 0);
    return `${state} · ${say.text('presence.seen', { when: say.ago(lastSeen, now) })}`;
  }
}

customElements.define('duet-presence', DuetPresence);
