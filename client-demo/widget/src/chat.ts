/**
 * The visitor's chat: a calm card with one conversation in it. It connects when the visitor starts the chat (or had started
 * one on this device), and says what is known and nothing else.
 */
import type { Conversation, DuetClient, DuetError } from '@duet/client';
import { MessageCircle, X } from 'lucide';
import { html, LitElement, nothing, type TemplateResult } from 'lit';
import { chatStyle } from './chat.style';
import { nameOf } from './model/names';
import { avatar, avatarStyle } from './parts/avatar';
import './parts/banner';
import './parts/conversation';
import type { DuetConversation } from './parts/conversation';
import { headStyle } from './parts/head';
import { icon } from './parts/icons';
import './parts/presence';
import { problem, problemStyle } from './parts/problem';
import './parts/strip';
import { theme } from './parts/theme';
import { Watching } from './parts/watching';
import { Localized, texts } from './text/locale';

/**
 * `<duet-chat>`; set `client` and `scope`. Fires `duet-name` with the visitor's name before a chat starts: a page that
 * issues tokens by name takes note of it; then `duet-started`, and `duet-ended` when the visitor has ended it.
 */
export class DuetChat extends LitElement {
  static override styles = [theme, avatarStyle, headStyle, problemStyle, chatStyle];
  static override properties = {
    client: { attribute: false },
    scope: {},
    name: {},
    conversation: { state: true },
    phase: { state: true },
    problem: { state: true },
  };
  declare client: DuetClient | undefined;
  declare scope: string;
  /** What the visitor is called so far. */
  declare name: string;
  declare conversation: Conversation | undefined;
  declare phase: 'welcome' | 'starting' | 'open';
  declare problem: DuetError | undefined;

  constructor() {
    super();
    this.scope = 'visitor';
    this.name = '';
    this.phase = 'welcome';
    new Watching(this, () => this.client);
    new Localized(this);
  }

  /** Starts the chat, or goes on with the one that was started on this device. */
  async start(): Promise<void> {
    const { client } = this;
    if (client === undefined) return;
    this.phase = 'starting';
    this.problem = undefined;
    // What is kept on this device is shown at once, and can be written to before there is a connection.
    this.conversation = client.chat.conversation;
    if (this.conversation !== undefined) this.phase = 'open';
    try {
      client.connect();
      this.conversation = await client.chat.start();
      this.phase = 'open';
      this.#tell('duet-started');
    } catch (error) {
      this.problem = error as DuetError;
      if (this.conversation === undefined) this.phase = 'welcome';
      return;
    }
    await this.updateComplete;
    if (this.matches(':focus-within')) this.#room?.focus();
  }

  protected override render(): TemplateResult {
    return html`
      ${this.#header()}
      <duet-banner .client=${this.client}></duet-banner>
      ${this.phase === 'open' ? this.#open() : this.#welcome()}
      <duet-strip .client=${this.client}></duet-strip>
    `;
  }

  #header(): TemplateResult {
    const { conversation } = this;
    const agent = this.phase === 'open' ? conversation?.assignee : undefined;
    const name = agent === undefined ? texts().text('chat.title') : nameOf(conversation, agent);
    return html`<header>
      ${
        agent === undefined
          ? html`<span class="avatar emblem" aria-hidden="true">${icon(MessageCircle, 18)}</span>`
          : avatar(agent, name)
      }
      <div class="who">
        <h2>${name}</h2>
        <div class="state">${this.#state(agent)}</div>
      </div>
      ${
        this.phase === 'open' && conversation?.status !== 'closed'
          ? html`<button class="button bare" type="button" @click=${this.#onEnd}>
              ${icon(X)}${texts().text('chat.end')}
            </button>`
          : nothing
      }
    </header>`;
  }

  #state(agent: string | undefined): unknown {
    if (agent !== undefined)
      return html`<duet-presence .client=${this.client} .user=${agent}></duet-presence>`;
    return this.phase === 'open' && this.conversation?.status === 'queued'
      ? texts().text('chat.waiting')
      : nothing;
  }

  #welcome(): TemplateResult {
    const starting = this.phase === 'starting';
    return html`<form class="welcome" @submit=${this.#onStart}>
      <p class="hello">${texts().text('chat.welcome')}</p>
      <p class="promise">${texts().text('chat.promise')}</p>
      <label for="name">${texts().text('chat.name')}</label>
      <input
        id="name"
        name="name"
        autocomplete="name"
        maxlength="64"
        placeholder=${texts().text('chat.name.placeholder')}
        .value=${this.name}
      />
      <button class="button primary" type="submit" aria-disabled=${starting ? 'true' : nothing}>
        ${texts().text(starting ? 'chat.starting' : 'chat.start')}
      </button>
      ${problem(this.problem)}
    </form>`;
  }

  #open(): TemplateResult {
    const closed = this.conversation?.status === 'closed';
    return html`<duet-conversation
      .client=${this.client}
      .conversation=${this.conversation}
      .scope=${this.scope}
      ?mute=${closed}
    >
      <div slot="notice">${this.#notice()}${problem(this.problem)}</div>
    </duet-conversation>`;
  }

  #notice(): unknown {
    const say = texts();
    switch (this.conversation?.status) {
      case 'queued':
        return html`<p class="notice">${say.text('chat.waiting.long')}</p>`;
      case 'resolved':
        return html`<p class="notice">${say.text('chat.resolved')} ${say.text('chat.reopen')}</p>`;
      case 'closed':
        return html`<p class="notice">
          ${say.text('chat.closed')}
          <button class="button" type="button" @click=${this.#onAgain}>${say.text('chat.again')}</button>
        </p>`;
      case 'active':
      case undefined:
        return nothing;
    }
  }

  readonly #onStart = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    if (this.phase === 'starting') return;
    this.name = this.renderRoot.querySelector('input')?.value.trim() ?? '';
    this.#tell('duet-name', this.name);
    await this.start();
    this.#room?.focus();
  };

  readonly #onAgain = async (): Promise<void> => {
    await this.start();
    this.#room?.focus();
  };

  readonly #onEnd = async (): Promise<void> => {
    try {
      await this.client?.chat.end();
      this.conversation?.unsubscribe();
      this.conversation = undefined;
      this.phase = 'welcome';
      this.problem = undefined;
      this.#tell('duet-ended');
    } catch (error) {
      this.problem = error as DuetError;
    }
  };

  #tell(name: string, detail?: string): void {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }

  get #room(): DuetConversation | null {
    return this.renderRoot.querySelector('duet-conversation');
  }
}

customElements.define('duet-chat', DuetChat);
