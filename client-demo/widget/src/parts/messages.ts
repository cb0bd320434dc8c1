/**
 * The message list: a log that keeps its place. Older messages load above without a jump, new ones below the fold show a
 * pill, a reload shows the same lines again, and what was before the reader's eyes counts as read.
 */
import type { Conversation, DuetClient, Message, QuickReply } from '@duet/client';
import { ArrowDown } from 'lucide';
import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { rowsOf } from '../model/rows';
import { loadScroll, saveScroll, type ScrollPlace } from '../model/scroll';
import { answered, lastSeq, looked, newBelow, opened, type Seen } from '../model/seen';
import { Localized, texts } from '../text/locale';
import { mayDo, type Task } from '../model/task';
import type { DuetActions, MessageAct } from './actions';
import { cardStyle, drawQuickReplies } from './card';
import { icon } from './icons';
import { drawRow, type RowContext } from './message-row';
import { messagesStyle } from './messages.style';
import { theme } from './theme';
import { Watching } from './watching';

/** Closer to the end than this is at the end, CSS pixels. */
const END_PX = 48;
/** Closer to the beginning than this loads the page before, CSS pixels. */
const OLDER_PX = 400;
const PAGE = 50;
/** How long a message that was asked for is marked, milliseconds. */
const SHOWN_MS = 1_500;
/** A reload goes back at most so many pages to find the reader's place. */
const RESTORE_PAGES_MAX = 40;

/** `<duet-messages>`; set `client`, `conversation` and `scope` (a name for this reader's place). */
export class DuetMessages extends LitElement {
  static override styles = [theme, messagesStyle, cardStyle];
  static override properties = {
    client: { attribute: false },
    conversation: { attribute: false },
    scope: {},
    mute: { type: Boolean },
    loading: { state: true },
  };
  declare client: DuetClient | undefined;
  declare conversation: Conversation | undefined;
  declare scope: string;
  /** Nothing can be said here now. */
  declare mute: boolean;
  declare loading: boolean;
  /** The message whose actions are the tab stop; the last one until another was chosen. */
  #stop: string | undefined;
  #seen: Seen = opened(0, 0);
  /** Whether the end of the list is in view, as of the last scroll or drawing. */
  #atEnd = true;
  #onScreen = false;
  /** The beginning of the log cannot be loaded any further. */
  #exhausted = false;
  /** `waiting` for the backlog, then `restoring` the place, then `ready`. */
  #phase: 'waiting' | 'restoring' | 'ready' = 'waiting';
  #openedAt = Infinity;
  #anchor: { readonly row: HTMLElement; readonly top: number } | undefined;
  #saveTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #screen = new IntersectionObserver(entries => {
    this.#onScreen = entries.at(-1)?.isIntersecting ?? false;
    this.requestUpdate();
  });
  readonly #size = new ResizeObserver(() => {
    if (this.#atEnd) this.#toEnd();
  });
  readonly #onVisible = (): void => {
    this.requestUpdate();
  };
  readonly #onHide = (): void => {
    this.#save();
  };

  constructor() {
    super();
    this.scope = '';
    this.mute = false;
    this.loading = false;
    new Watching(this, () => this.client);
    new Localized(this);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#screen.observe(this);
    this.#size.observe(this);
    document.addEventListener('visibilitychange', this.#onVisible);
    window.addEventListener('pagehide', this.#onHide);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#screen.disconnect();
    this.#size.disconnect();
    document.removeEventListener('visibilitychange', this.#onVisible);
    window.removeEventListener('pagehide', this.#onHide);
    this.#save();
  }

  /** The reader wrote something: shows the end of the list, and the unread line has done its work. */
  wrote(): void {
    this.#seen = answered(this.#seen);
    this.#atEnd = true;
    this.requestUpdate();
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has('conversation')) this.#begin(changed.get('conversation'));
    const { conversation } = this;
    if (conversation === undefined) return;
    const begun = conversation.subscription === 'subscribed' && lastSeq(conversation.timeline) > 0;
    if (this.#phase === 'waiting' && begun) this.#open(conversation);
    if (this.#phase === 'ready') this.#seen = looked(this.#seen, conversation.timeline, this.#watching);
    this.#anchor = this.#atEnd ? undefined : this.#firstInView();
  }

  protected override updated(): void {
    if (this.#atEnd) this.#toEnd();
    else if (this.#anchor?.row.isConnected === true) {
      const { row, top } = this.#anchor;
      this.#log.scrollTop += row.getBoundingClientRect().top - top;
    }
    const { conversation } = this;
    if (conversation === undefined || this.#phase !== 'ready') return;
    const last = lastSeq(conversation.timeline);
    if (this.#watching && last > conversation.read) conversation.markRead(last);
    if (this.#log.scrollTop < OLDER_PX) void this.#older();
  }

  protected override render(): TemplateResult {
    const { conversation } = this;
    const entries = conversation?.timeline ?? [];
    const below = this.#phase === 'ready' ? newBelow(this.#seen, entries) : 0;
    return html`
      <div
        class="log"
        role="log"
        aria-live="polite"
        aria-relevant="additions"
        aria-label=${texts().text('log.name')}
        tabindex="0"
        @scroll=${this.#onScroll}
        @keydown=${this.#onKey}
      >
        <div class="top">${this.#top(entries.length > 0)}</div>
        ${conversation === undefined ? nothing : this.#rows(conversation)}
      </div>
      ${
        below > 0
          ? html`<button class="button primary pill" type="button" @click=${this.#jump}>
              ${icon(ArrowDown)}${texts().text('log.new', { count: below })}
            </button>`
          : nothing
      }
    `;
  }

  #rows(conversation: Conversation): unknown {
    const rows = rowsOf(conversation.timeline, this.#seen.lineAfter);
    if (!rows.some(row => row.type === 'message') && conversation.subscription === 'subscribed') {
      return html`<p class="empty">${texts().text('log.empty')}</p>`;
    }
    const { messages } = conversation;
    const context: RowContext = {
      conversation,
      me: this.client?.me?.user ?? '',
      now: Date.now() + (this.client?.info.clockOffset ?? 0),
      openedAt: this.#openedAt,
      retry: (message: Message) => {
        conversation.retry(message.id);
        this.wrote();
      },
      discard: (message: Message) => {
        conversation.discard(message.id);
        this.requestUpdate();
      },
      stop: this.#stop ?? messages.findLast(({ seq }) => seq !== undefined)?.id,
      may: message => mayDo(message, this.client, this.mute),
      act: (message, act) => {
        this.#act(conversation, message, act);
      },
      choose: (card, choice) => {
        this.#choose(conversation, card, choice);
      },
      show: seq => {
        this.#show(seq);
      },
      retryChange: id => {
        conversation.retry(id);
      },
      discardChange: id => {
        conversation.discard(id);
      },
    };
    return html`${repeat(
      rows,
      row => row.key,
      row => drawRow(row, context),
    )}${this.#quickReplies(conversation, messages.at(-1))}`;
  }

  /** Answers that are offered for as long as nothing has been said after them. */
  #quickReplies(conversation: Conversation, last: Message | undefined): unknown {
    if (last === undefined || last.own || this.mute || last.content.format !== 'card') return nothing;
    const { quickReplies = [] } = last.content.card;
    if (quickReplies.length === 0) return nothing;
    return drawQuickReplies(quickReplies, choice => {
      this.#choose(conversation, last, choice);
    });
  }

  #choose(conversation: Conversation, card: Message, choice: QuickReply): void {
    conversation
      .choose(card, choice)
      .accepted()
      .catch(() => undefined);
    this.wrote();
  }

  #act(conversation: Conversation, message: Message, act: MessageAct): void {
    const { seq } = message;
    if (seq === undefined) return;
    if (act.type === 'react') {
      const own = message.reactions.some(reaction => reaction.own && reaction.emoji === act.emoji);
      conversation.react(seq, act.emoji, !own);
    } else if (act.type === 'delete') conversation.delete(seq);
    else {
      const detail: Task = { type: act.type, message };
      this.dispatchEvent(new CustomEvent('duet-task', { detail, bubbles: true }));
    }
  }

  #show(seq: number): void {
    const row = this.#log.querySelector<HTMLElement>(`[data-seq="${seq}"]`);
    if (row === null) return;
    const smooth = !matchMedia('(prefers-reduced-motion: reduce)').matches;
    row.scrollIntoView({ block: 'center', behavior: smooth ? 'smooth' : 'instant' });
    row.classList.add('shown');
    setTimeout(() => {
      row.classList.remove('shown');
    }, SHOWN_MS);
  }

  /** Arrow keys lead from one message's actions to the next. */
  readonly #onKey = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const [target] = event.composedPath();
    if (step === undefined || !(target instanceof HTMLElement) || !target.matches('.opener')) return;
    const all = [...this.#log.querySelectorAll<DuetActions>('duet-actions')];
    const next = all[all.findIndex(one => event.composedPath().includes(one)) + step];
    if (next === undefined) return;
    event.preventDefault();
    this.#stop = next.closest<HTMLElement>('.message')?.dataset['id'];
    this.requestUpdate();
    next.focus();
  };

  #top(any: boolean): unknown {
    if (this.loading) return html`<span class="late">${texts().text('log.older')}</span>`;
    return any && this.#firstSeq === 1 ? texts().text('log.beginning') : nothing;
  }

  #begin(previous: Conversation | undefined): void {
    if (previous !== undefined) this.#save(previous);
    this.#phase = 'waiting';
    this.#atEnd = true;
    this.#exhausted = false;
    this.#stop = undefined;
    this.#openedAt = Infinity;
    this.#seen = opened(0, 0);
  }

  #open(conversation: Conversation): void {
    this.#seen = opened(conversation.read, conversation.unread);
    this.#openedAt = Date.now() + (this.client?.info.clockOffset ?? 0);
    const place = loadScroll(this.#key(conversation));
    if (place === undefined) {
      this.#phase = 'ready';
      return;
    }
    this.#phase = 'restoring';
    this.#atEnd = false;
    void this.#restore(conversation, place);
  }

  async #restore(conversation: Conversation, place: ScrollPlace): Promise<void> {
    for (let page = 0; page < RESTORE_PAGES_MAX && this.#firstSeq > place.seq; page += 1) {
      if (!(await this.#load(conversation))) break;
    }
    await this.updateComplete;
    if (this.conversation !== conversation) return;
    const row = this.#log.querySelector(`[data-seq="${place.seq}"]`);
    if (row !== null) {
      const top = row.getBoundingClientRect().top - this.#log.getBoundingClientRect().top;
      this.#log.scrollTop += top - place.offset;
    }
    this.#phase = 'ready';
    this.#measure();
    this.requestUpdate();
  }

  /** Loads the page before, unless that is under way or there is none. */
  async #older(): Promise<void> {
    const { conversation } = this;
    if (conversation === undefined || this.#phase !== 'ready') return;
    await this.#load(conversation);
  }

  async #load(conversation: Conversation): Promise<boolean> {
    const first = this.#firstSeq;
    if (this.loading || this.#exhausted || first <= 1 || conversation.subscription !== 'subscribed')
      return false;
    this.loading = true;
    try {
      await conversation.history({ before: first, limit: PAGE });
    } catch {
      return false;
    } finally {
      this.loading = false;
      this.requestUpdate();
    }
    if (this.conversation !== conversation) return false;
    this.#exhausted = this.#firstSeq === first;
    return !this.#exhausted;
  }

  readonly #onScroll = (): void => {
    if (this.#phase !== 'ready') return;
    const before = this.#atEnd;
    this.#measure();
    clearTimeout(this.#saveTimer);
    this.#saveTimer = setTimeout(() => {
      this.#save();
    }, 150);
    if (this.#log.scrollTop < OLDER_PX) void this.#older();
    if (this.#atEnd !== before) this.requestUpdate();
  };

  readonly #jump = (): void => {
    const smooth = !matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.#log.scrollTo({ top: this.#log.scrollHeight, behavior: smooth ? 'smooth' : 'instant' });
    this.#log.focus({ preventScroll: true });
  };

  #measure(): void {
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    this.#atEnd = scrollHeight - scrollTop - clientHeight < END_PX;
  }

  #toEnd(): void {
    this.#log.scrollTop = this.#log.scrollHeight;
  }

  #firstInView(): { row: HTMLElement; top: number } | undefined {
    const log = this.renderRoot.querySelector<HTMLElement>('.log');
    if (log === null) return undefined;
    const edge = log.getBoundingClientRect().top;
    for (const row of log.querySelectorAll<HTMLElement>('[data-seq]')) {
      const { top, bottom } = row.getBoundingClientRect();
      if (bottom > edge) return { row, top };
    }
    return undefined;
  }

  #save(conversation = this.conversation): void {
    clearTimeout(this.#saveTimer);
    if (conversation === undefined || this.#phase !== 'ready') return;
    const found = this.#atEnd ? undefined : this.#firstInView();
    const edge = this.#log.getBoundingClientRect().top;
    const place = found && { seq: Number(found.row.dataset['seq']), offset: found.top - edge };
    saveScroll(this.#key(conversation), place);
  }

  #key(conversation: Conversation): string {
    return `${this.scope}:${conversation.id}`;
  }

  get #watching(): boolean {
    return this.#atEnd && this.#onScreen && document.visibilityState === 'visible';
  }

  get #firstSeq(): number {
    return this.conversation?.first ?? 0;
  }

  get #log(): HTMLElement {
    const log = this.renderRoot.querySelector<HTMLElement>('.log');
    if (log === null) throw new Error('the list is not drawn yet');
    return log;
  }
}

customElements.define('duet-messages', DuetMessages);
