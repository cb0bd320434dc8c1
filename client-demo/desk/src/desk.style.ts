/** The look of the desk. */
import { css } from 'lit';

/** Columns by the desk's own width, availability, notices. */
export const deskStyle = css`
  :host {
    display: block;
    container-type: inline-size;
    min-block-size: 0;
    overflow: hidden;
    background: var(--surface);
    font-size: 14px;
  }
  .columns {
    display: grid;
    grid-template-columns: 272px minmax(0, 1fr);
    grid-template-rows: minmax(0, 1fr);
    block-size: 100%;
  }
  section {
    display: flex;
    flex-direction: column;
    min-inline-size: 0;
    min-block-size: 0;
  }
  .side {
    border-inline-end: 1px solid var(--line);
    background: color-mix(in oklab, var(--sunken) 45%, var(--surface));
  }
  .customer {
    display: none;
    border-inline-start: 1px solid var(--line);
  }
  duet-queue,
  duet-conversation,
  duet-customer {
    flex: 1;
    min-block-size: 0;
  }
  header {
    gap: 8px;
  }
  .me {
    flex: 1;
    min-inline-size: 0;
  }
  .me duet-presence {
    display: flex;
    block-size: 18px;
  }
  .back {
    display: none;
  }
  .choice {
    position: relative;
    display: inline-flex;
    align-items: center;
  }
  .choice::before {
    position: absolute;
    inset-inline-start: 10px;
    inline-size: 8px;
    block-size: 8px;
    border: 1.5px solid var(--quiet);
    border-radius: 50%;
    content: '';
    pointer-events: none;
  }
  .choice.online::before {
    border-color: var(--good);
    background: var(--good);
  }
  .choice.busy::before {
    border-color: var(--bad);
    background: var(--bad);
  }
  .choice.away::before {
    border-color: var(--warning);
    background: linear-gradient(90deg, transparent 50%, var(--warning) 50%);
  }
  select {
    min-block-size: 32px;
    padding: 2px 6px 2px 24px;
    padding-inline: 24px 6px;
    border: 1px solid var(--line);
    border-radius: 6px;
    background: var(--surface);
    cursor: pointer;
  }
  .notice {
    padding: 12px 20px 16px;
    color: var(--quiet);
    text-align: center;
  }
  .empty {
    margin: auto;
    padding: 32px;
    color: var(--quiet);
    text-align: center;
  }
  .empty svg {
    margin: 0 auto 12px;
    opacity: 0.6;
  }
  .empty b {
    display: block;
    color: var(--text);
    font-weight: 500;
  }
  @container (inline-size >= 940px) {
    .columns:has(.customer) {
      grid-template-columns: 260px minmax(0, 1fr) 232px;
    }
    .customer {
      display: flex;
    }
  }
  @container (inline-size < 640px) {
    .columns {
      grid-template-columns: minmax(0, 1fr);
    }
    .side {
      border-inline-end: 0;
    }
    .back {
      display: inline-flex;
    }
    .queue-first .talk,
    .talk-first .side {
      display: none;
    }
  }
`;
