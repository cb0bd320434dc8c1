/** The look of the page around the two sides. */
import { css } from 'lit';

/** Bar, tabs, panels. */
export const pageStyle = css`
  :host {
    display: grid;
    grid-template-rows: auto minmax(0, 1fr);
    block-size: 100vh;
    block-size: 100dvh;
    min-inline-size: 0;
  }
  .bar {
    display: flex;
    align-items: center;
    gap: 12px;
    min-block-size: 56px;
    padding: 8px 24px;
    font-size: 14px;
  }
  h1 {
    display: flex;
    align-items: center;
    gap: 8px;
    margin-inline-end: auto;
    font-size: 18px;
    font-weight: 650;
    letter-spacing: -0.02em;
  }
  h1 img {
    display: block;
  }
  .bar label {
    display: inline-flex;
    align-items: center;
    gap: 6px;
    color: var(--quiet);
  }
  .bar select {
    min-block-size: 32px;
    padding-inline: 4px;
    border: 1px solid transparent;
    border-radius: 6px;
    background: transparent;
    color: var(--text);
    cursor: pointer;
  }
  .bar select:hover {
    background: var(--hover);
  }
  option {
    background: var(--surface);
    color: var(--text);
  }
  main {
    display: grid;
    grid-template-columns: minmax(340px, 392px) minmax(0, 1fr);
    grid-template-rows: minmax(0, 1fr);
    gap: 20px;
    min-block-size: 0;
    padding: 0 24px 24px;
  }
  .panel {
    display: grid;
    grid-template-rows: auto minmax(0, 1fr);
    gap: 6px;
    min-inline-size: 0;
    min-block-size: 0;
  }
  .caption {
    display: flex;
    align-items: center;
    gap: 8px;
    min-block-size: 32px;
    padding-inline: 4px;
    color: var(--quiet);
    font-size: 12px;
  }
  .caption b {
    color: var(--text);
    font-size: 14px;
    font-weight: 600;
  }
  .caption a {
    margin-inline-start: auto;
    color: var(--quiet);
  }
  .card {
    display: grid;
    grid-template: minmax(0, 1fr) / minmax(0, 1fr);
    overflow: hidden;
    border: 1px solid var(--line);
    border-radius: 12px;
    background: var(--surface);
  }
  .visitor .card {
    box-shadow: var(--float);
  }
  .trouble {
    margin: auto;
    padding: 32px;
    color: var(--quiet);
    text-align: center;
  }
  .trouble .button {
    margin-block-start: 12px;
  }
  .tabs {
    display: none;
  }
  :host([data-only]) main {
    grid-template-columns: minmax(0, 1fr);
  }
  :host([data-only='visitor']) .panel {
    inline-size: min(100%, 440px);
    margin-inline: auto;
  }
  @media (width < 1000px) {
    .bar {
      min-block-size: 48px;
      padding: 4px 12px;
    }
    .bar label svg {
      display: none;
    }
    .tabs {
      display: flex;
      gap: 4px;
      padding: 0 12px 8px;
    }
    .tab {
      display: flex;
      flex: 1;
      align-items: center;
      justify-content: center;
      gap: 6px;
      min-block-size: 36px;
      border: 0;
      border-radius: 6px;
      background: none;
      color: var(--quiet);
      font-size: 14px;
      font-weight: 500;
      cursor: pointer;
    }
    .tab[aria-selected='true'] {
      background: var(--surface);
      color: var(--text);
      box-shadow: 0 0 0 1px var(--line);
    }
    main {
      grid-template-columns: minmax(0, 1fr);
      gap: 0;
      padding: 0;
    }
    .panel {
      grid-template-rows: minmax(0, 1fr);
    }
    .caption {
      display: none;
    }
    .card {
      border-width: 1px 0 0;
      border-radius: 0;
    }
    .visitor .card {
      box-shadow: none;
    }
    :host([data-only='visitor']) .panel {
      inline-size: 100%;
    }
  }
  @media (forced-colors: active) {
    .tab[aria-selected='true'] {
      outline: 2px solid Highlight;
      outline-offset: -2px;
    }
  }
`;
