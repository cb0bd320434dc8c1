/**
 * The agent's desk: queue, conversation, customer. Dense and made for the keyboard. In a narrow place it shows either the
 * queue or the conversation.
 */
import type { Availability, Conversation, DuetClient, DuetError, InboxEntry } from '@duet/client';
import {
  customerOf,
  type DuetConversation,
  headStyle,
  icon,
  Localized,
  nameOf,
  problem,
  problemStyle,
  texts,
  theme,
  Watching,
} from '@duet/widget';
import { ArrowLeft, Check, Hand, Keyboard, MessagesSquare } from 'lucide';
import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit';
import './customer';
import { deskStyle } from './desk.style';
import './queue';
import { sectionsOf, neighbour } from './sections';
import { actionOf, type Action, type DuetShortcuts } from './shortcuts';

/** Conversations that stay subscribed after the agent left them for another. */
const KEPT_OPEN_MAX = 8;
const AVAILABILITIES = ['online', 'busy', 'away', 'offline'] as const satisfies readonly Availability[];

/** `<duet-desk>`; set `client` and `scope`. It connects and watches the queue by itself. */
export class DuetDesk extends LitElement {
  static override styles = [theme, headStyle, problemStyle, deskStyle];
  static override properties = {
    client: { attribute: false },
    scope: {},
    selected: { state: true },
    problem: { state: true },
  };
  declare client: DuetClient | undefined;
  declare scope: string;
  declare selected: string | undefined;
  declare problem: DuetError | undefined;
  #kept: readonly Conversation[] = [];
  #availability: Availability = 'online';

  constructor() {
    super();
    this.scope = 'agent';
    new Watching(this, () => this.client);
    new Localized(this);
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (!changed.has('client') || this.client === undefined) return;
    this.client.connect();
    this.client.conversations.watch().catch(this.#failed);
    this.#kept = [];
    const remembered = sessionStorage.getItem(this.#memory);
    if (remembered !== null) this.#pick(remembered, false);
  }

  protected override render(): TemplateResult {
    const entry = this.#entry;
    return html`
      <div
        class="columns ${this.selected === undefined ? 'queue-first' : 'talk-first'}"
        @keydown=${this.#onKey}
      >
        <section class="side" aria-label=${texts().text('desk.queue')}>
          ${this.#head()}
          <duet-queue
            .client=${this.client}
            .selected=${this.selected}
            @duet-pick=${this.#onPick}
          ></duet-queue>
          <duet-strip .client=${this.client}></duet-strip>
        </section>
        <section class="talk" aria-label=${texts().text('desk.conversation')}>
          ${this.selected === undefined ? this.#nothingPicked() : this.#talk(entry)}
        </section>
        ${
          entry === undefined
            ? nothing
            : html`<section class="customer" aria-label=${texts().text('desk.customer')}>
                <duet-customer
                  .client=${this.client}
                  .conversation=${this.#conversation}
                  .entry=${entry}
                ></duet-customer>
              </section>`
        }
      </div>
      <duet-shortcuts></duet-shortcuts>
    `;
  }

  #head(): TemplateResult {
    const say = texts();
    const name = this.client?.me?.name ?? '';
    const own = this.client?.me?.user;
    const told = own === undefined ? undefined : this.client?.presence.get(own)?.availability;
    const current = this.client?.availability.current ?? told ?? this.#availability;
    return html`<header>
      <div class="me"><h2>${name === '' ? say.text('desk.title') : name}</h2></div>
      <button class="button bare icon" type="button" title=${say.text('desk.shortcuts')} @click=${this.#help}>
        ${icon(Keyboard)}<span class="hidden-visually">${say.text('desk.shortcuts')}</span>
      </button>
      <span class="choice ${current}">
        <select aria-label=${say.text('desk.availability')} @change=${this.#onAvailability}>
          ${AVAILABILITIES.map(
            each =>
              html`<option value=${each} ?selected=${each === current}>
                ${say.text(`presence.${each}`)}
              </option>`,
          )}
        </select>
      </span>
    </header>`;
  }

  #nothingPicked(): TemplateResult {
    return html`<duet-banner .client=${this.client}></duet-banner>
      <p class="empty">
        ${icon(MessagesSquare, 28)}<b>${texts().text('desk.pick')}</b>${texts().text('desk.pick.next')}
      </p>`;
  }

  #talk(entry: InboxEntry | undefined): TemplateResult {
    const say = texts();
    const customer = entry === undefined ? undefined : customerOf(entry);
    const mine = this.#mine(entry);
    return html`
      <header>
        <button
          class="button bare icon back"
          type="button"
          title=${say.text('desk.back')}
          @click=${this.#onBack}
        >
          ${icon(ArrowLeft)}<span class="hidden-visually">${say.text('desk.back')}</span>
        </button>
        <div class="me">
          <h2>${customer?.name ?? say.text('chat.visitor')}</h2>
          <duet-presence .client=${this.client} .user=${customer?.user}></duet-presence>
        </div>
        ${
          this.#canTake(entry)
            ? html`<button class="button primary" type="button" @click=${this.#take}>
                ${icon(Hand)}${say.text('desk.take')}
              </button>`
            : nothing
        }
        ${
          mine && entry?.status === 'active'
            ? html`<button class="button" type="button" @click=${this.#resolve}>
                ${icon(Check)}${say.text('desk.resolve')}
              </button>`
            : nothing
        }
      </header>
      <duet-banner .client=${this.client}></duet-banner>
      <duet-conversation
        .client=${this.client}
        .conversation=${this.#conversation}
        .scope=${this.scope}
        ?mute=${!mine || entry?.status !== 'active'}
      >
        <div slot="notice">${this.#notice(entry, mine)}${problem(this.problem)}</div>
      </duet-conversation>
    `;
  }

  #notice(entry: InboxEntry | undefined, mine: boolean): unknown {
    if (entry === undefined || (mine && entry.status === 'active')) return nothing;
    return html`<p class="notice">${this.#advice(entry)}</p>`;
  }

  #advice(entry: InboxEntry): string {
    const say = texts();
    switch (entry.status) {
      case 'queued':
        return say.text('desk.take.long');
      case 'active':
        return say.text('desk.taken', { name: nameOf(this.#conversation, entry.assignee ?? '') });
      case 'resolved':
        return `${say.text('chat.resolved')} ${say.text('desk.take.again')}`;
      case 'closed':
        return say.text('chat.closed');
    }
  }

  #pick(id: string | undefined, focus = true): void {
    this.problem = undefined;
    this.selected = id;
    if (id === undefined) {
      sessionStorage.removeItem(this.#memory);
      return;
    }
    sessionStorage.setItem(this.#memory, id);
    const conversation = this.client?.conversation(id);
    if (conversation === undefined) return;
    const kept = [conversation, ...this.#kept.filter(other => other !== conversation)];
    for (const old of kept.slice(KEPT_OPEN_MAX)) old.unsubscribe();
    this.#kept = kept.slice(0, KEPT_OPEN_MAX);
    if (conversation.subscription === 'unsubscribed') conversation.subscribe().catch(this.#failed);
    if (focus) void this.#focusComposer();
  }

  async #focusComposer(): Promise<void> {
    await this.updateComplete;
    const room = this.renderRoot.querySelector<DuetConversation>('duet-conversation');
    await room?.updateComplete;
    room?.focus();
  }

  readonly #take = async (): Promise<void> => {
    if (!this.#canTake(this.#entry)) return;
    try {
      this.problem = undefined;
      await this.#conversation?.assign();
      await this.#focusComposer();
    } catch (error) {
      this.#failed(error);
    }
  };

  readonly #resolve = async (): Promise<void> => {
    if (!this.#mine(this.#entry)) return;
    try {
      this.problem = undefined;
      await this.#conversation?.resolve();
    } catch (error) {
      this.#failed(error);
    }
  };

  readonly #onPick = (event: CustomEvent<string>): void => {
    this.#pick(event.detail);
  };

  readonly #onBack = (): void => {
    this.#pick(undefined);
  };

  readonly #help = (): void => {
    this.renderRoot.querySelector<DuetShortcuts>('duet-shortcuts')?.show();
  };

  readonly #onAvailability = (event: Event): void => {
    const chosen = AVAILABILITIES.find(each => each === (event.target as HTMLSelectElement).value);
    if (chosen === undefined) return;
    this.#availability = chosen;
    this.client?.availability.set(chosen).catch(this.#failed);
    this.requestUpdate();
  };

  readonly #onKey = (event: KeyboardEvent): void => {
    const [target] = event.composedPath();
    const typing = target instanceof HTMLTextAreaElement || target instanceof HTMLInputElement;
    const action = actionOf(event, typing);
    if (action === undefined) return;
    event.preventDefault();
    this.#act(action);
  };

  #act(action: Action): void {
    switch (action) {
      case 'next':
      case 'previous': {
        const sections = sectionsOf(this.client?.conversations.list ?? [], this.client?.me?.user ?? '');
        const id = neighbour(sections, this.selected, action === 'next' ? 1 : -1);
        if (id !== undefined) this.#pick(id);
        return;
      }
      case 'take':
        void this.#take();
        return;
      case 'resolve':
        void this.#resolve();
        return;
      case 'help':
        this.#help();
    }
  }

  readonly #failed = (error: unknown): void => {
    this.problem = error as DuetError;
  };

  #mine(entry: InboxEntry | undefined): boolean {
    return entry?.assignee !== undefined && entry.assignee === this.client?.me?.user;
  }

  #canTake(entry: InboxEntry | undefined): boolean {
    return entry?.status === 'queued' || entry?.status === 'resolved';
  }

  get #entry(): InboxEntry | undefined {
    return this.client?.conversations.list.find(entry => entry.conversation === this.selected);
  }

  get #conversation(): Conversation | undefined {
    return this.selected === undefined ? undefined : this.client?.conversation(this.selected);
  }

  get #memory(): string {
    return `duet:desk:${this.scope}`;
  }
}

customElements.define('duet-desk', DuetDesk);
