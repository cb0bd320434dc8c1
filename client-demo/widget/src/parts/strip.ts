/** The strip: which carrier, how long a round trip takes, which node, which reign, how many copies. Small, for those who want to know. */
import type { ClientState, DuetClient } from '@duet/client';
import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import type { TextKey } from '../text/en';
import { Localized, texts } from '../text/locale';
import { theme } from './theme';
import { Ticking, Watching } from './watching';

/** `<duet-strip>`; set `client`. Reflects `data-state`, `data-transport`, `data-node`, `data-epoch` and `data-replicas`. */
export class DuetStrip extends LitElement {
  static override styles = [
    theme,
    css`
      :host {
        display: block;
        min-block-size: 24px;
        padding: 2px 16px 6px;
        color: var(--quiet);
        font-size: 12px;
      }
      div {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        justify-content: center;
        gap: 2px 8px;
      }
      i {
        inline-size: 6px;
        block-size: 6px;
        border: 1.5px solid currentColor;
        border-radius: 50%;
      }
      .connected i {
        border-color: var(--good);
        background: var(--good);
      }
      span + span::before {
        content: '·';
        margin-inline-end: 8px;
      }
    `,
  ];
  static override properties = { client: { attribute: false } };
  declare client: DuetClient | undefined;

  constructor() {
    super();
    new Watching(this, () => this.client);
    new Localized(this);
    new Ticking(this, 2_000);
  }

  protected override willUpdate(): void {
    this.dataset['state'] = this.client?.state ?? 'disconnected';
    this.dataset['transport'] = this.client?.info.transport ?? '';
    this.dataset['node'] = this.client?.info.node ?? '';
    this.dataset['epoch'] = String(this.client?.info.epoch ?? 0);
    this.dataset['replicas'] = String(this.client?.info.replicas ?? '');
  }

  protected override render(): TemplateResult {
    const { transport, rtt, epoch, node, replicas } = this.client?.info ?? {};
    const connected = this.client?.state === 'connected';
    const say = texts();
    const words =
      connected && transport !== undefined
        ? say.text(`strip.${transport}`)
        : say.text(awayText(this.client?.state));
    const ms = rtt === undefined ? undefined : rtt < 10 ? Math.round(rtt * 10) / 10 : Math.round(rtt);
    return html`<div
      class="figures ${connected ? 'connected' : ''}"
      role="group"
      aria-label=${say.text('strip.name')}
    >
      <i aria-hidden="true"></i><span>${words}</span>
      ${
        connected && ms !== undefined
          ? html`<span title=${say.text('strip.rtt.title')}>${say.text('strip.rtt', { ms })}</span>`
          : nothing
      }
      ${
        connected && node !== undefined
          ? html`<span title=${say.text('strip.node.title')}>${say.text('strip.node', { node })}</span>`
          : nothing
      }
      ${
        connected
          ? html`<span title=${say.text('strip.epoch.title')}
              >${say.text('strip.epoch', { epoch: String(epoch) })}</span
            >`
          : nothing
      }
      ${
        connected && replicas !== undefined
          ? html`<span title=${say.text('strip.replicas.title')}
              >${say.text('strip.replicas', { count: replicas })}</span
            >`
          : nothing
      }
    </div>`;
  }
}

/** What an interruption is called: one that ends by itself is not a missing connection. */
function awayText(state: ClientState | undefined): TextKey {
  if (state === 'connecting') return 'strip.connecting';
  return state === 'reconnecting' || state === 'suspended' ? 'strip.reconnecting' : 'strip.disconnected';
}

customElements.define('duet-strip', DuetStrip);
