/**
 * How the pair behind the page stands, with a button that kills its primary: only where `make demo-pair` serves the page.
 */
import { texts, theme, Localized } from '@duet/widget';
import { css, html, LitElement, nothing, type TemplateResult } from 'lit';

/** What `GET /demo/pair` says of a node. */
interface PairNode {
  readonly side: string;
  readonly up: boolean;
  readonly role?: string;
  readonly serving?: boolean;
  readonly in_sync?: boolean;
}

/** What a node is, in a word; `away` while it does not answer. */
type Condition = 'primary' | 'standby' | 'behind' | 'starting' | 'away';

/** `<duet-demo-pair>`. */
export class DuetDemoPair extends LitElement {
  static override styles = [
    theme,
    css`
      :host {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 4px 16px;
        min-block-size: 44px;
        margin-block-end: 8px;
        padding: 4px 24px;
        border-block: 1px solid var(--line);
        background: var(--surface);
        font-size: 14px;
      }
      .nodes {
        display: flex;
        flex: 1;
        flex-wrap: wrap;
        gap: 2px 16px;
      }
      .node {
        display: inline-flex;
        align-items: center;
        gap: 6px;
        color: var(--quiet);
      }
      .node b {
        color: var(--text);
        font-weight: 600;
      }
      .node::before {
        inline-size: 8px;
        block-size: 8px;
        border: 2px solid var(--quiet);
        border-radius: 50%;
        content: '';
      }
      .primary::before {
        border-color: var(--good);
        background: var(--good);
      }
      .standby::before {
        border-color: var(--good);
      }
      .behind::before,
      .starting::before {
        border-color: var(--warning);
      }
      .away::before {
        border-color: var(--bad);
      }
      .refusal {
        flex-basis: 100%;
        color: var(--quiet);
        font-size: 12px;
      }
      button {
        flex: none;
      }
      @media (width < 1000px) {
        :host {
          padding-inline: 12px;
          gap: 4px 12px;
        }
      }
    `,
  ];
  static override properties = { nodes: { state: true }, busy: { state: true }, refusal: { state: true } };
  declare nodes: readonly PairNode[];
  declare busy: boolean;
  declare refusal: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    super();
    this.nodes = [];
    this.busy = false;
    this.refusal = undefined;
    new Localized(this);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.role = 'group';
    void this.#watch();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.#timer);
  }

  protected override render(): TemplateResult {
    const say = texts();
    this.ariaLabel = say.text('pair.label');
    const conditions = this.nodes.map(conditionOf);
    const ready = conditions.includes('primary') && conditions.includes('standby');
    return html`
      <div class="nodes">
        ${this.nodes.map(
          (node, i) =>
            html`<span class="node ${conditions[i] ?? 'away'}" data-side=${node.side}>
              <b>${say.text('pair.node', { side: node.side })}</b
              >${say.text(`pair.${conditions[i] ?? 'away'}`)}
            </span>`,
        )}
      </div>
      <button
        class="button"
        type="button"
        title=${say.text('pair.kill.note')}
        ?disabled=${!ready || this.busy}
        @click=${this.#kill}
      >
        ${say.text('pair.kill')}
      </button>
      ${this.refusal === undefined ? nothing : html`<span class="refusal" role="alert">${this.refusal}</span>`}
    `;
  }

  async #watch(): Promise<void> {
    if (!document.hidden) await this.#look();
    if (this.isConnected) this.#timer = setTimeout(() => void this.#watch(), LOOK_EVERY_MS);
  }

  async #look(): Promise<void> {
    try {
      const answer = await fetch('/demo/pair', { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
      const { nodes } = (await answer.json()) as { nodes?: readonly PairNode[] };
      this.nodes = nodes ?? [];
    } catch {
      this.nodes = this.nodes.map(({ side }) => ({ side, up: false }));
    }
  }

  readonly #kill = async (): Promise<void> => {
    this.busy = true;
    this.refusal = undefined;
    try {
      const answer = await fetch('/demo/pair/kill', {
        method: 'POST',
        headers: { 'x-duet-operator': '1' },
        signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
      });
      const { error } = (await answer.json()) as { error?: string };
      this.refusal = error;
    } catch {
      this.refusal = texts().text('error.timeout');
    }
    await this.#look();
    this.busy = false;
  };
}

function conditionOf({ up, role, serving, in_sync: inSync }: PairNode): Condition {
  if (!up || role === undefined) return 'away';
  if (role === 'primary') return serving === true ? 'primary' : 'starting';
  if (role === 'standby') return inSync === true ? 'standby' : 'behind';
  return 'starting';
}

const LOOK_EVERY_MS = 500;
const ANSWER_WITHIN_MS = 5_000;

customElements.define('duet-demo-pair', DuetDemoPair);
