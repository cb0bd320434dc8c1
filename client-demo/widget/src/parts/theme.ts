/**
 * One look for all elements. A page themes them with ten custom properties:
 * `--duet-accent` `--duet-on-accent` `--duet-surface` `--duet-sunken` `--duet-text` `--duet-quiet` `--duet-line` `--duet-good`
 * `--duet-warning` `--duet-bad`. Everything else derives from these; the font is the page's.
 */
import { css } from 'lit';

/** Colours, controls and what every shadow root needs. */
export const theme = css`
  :host {
    --accent: var(--duet-accent, light-dark(#4450d4, #8b95ff));
    --on-accent: var(--duet-on-accent, light-dark(#ffffff, #10121c));
    --surface: var(--duet-surface, light-dark(#ffffff, #16181f));
    --sunken: var(--duet-sunken, light-dark(#f4f5f8, #1f222b));
    --text: var(--duet-text, light-dark(#1b1e28, #e8eaf0));
    --quiet: var(--duet-quiet, light-dark(#5c6272, #9ea5b5));
    --line: var(--duet-line, light-dark(#e3e5ec, #2b2f3a));
    --good: var(--duet-good, light-dark(#14804a, #4cc38a));
    --warning: var(--duet-warning, light-dark(#946000, #f0b429));
    --bad: var(--duet-bad, light-dark(#c42b3a, #ff8088));
    --tint: color-mix(in oklab, var(--accent) 12%, var(--surface));
    --hover: color-mix(in oklab, var(--text) 5%, transparent);
    --float: 0 8px 28px light-dark(rgb(20 24 48 / 14%), rgb(0 0 0 / 50%));
    color: var(--text);
    font-size: 15px;
    line-height: 1.45;
    -webkit-font-smoothing: antialiased;
  }
  :host([hidden]),
  [hidden] {
    display: none !important;
  }
  *,
  *::before,
  *::after {
    box-sizing: border-box;
  }
  button,
  select,
  input,
  textarea {
    font: inherit;
    color: inherit;
  }
  h1,
  h2,
  h3,
  p,
  ul,
  ol,
  dl,
  dd {
    margin: 0;
    padding: 0;
    list-style: none;
  }
  :focus-visible {
    outline: 2px solid var(--accent);
    outline-offset: 2px;
  }
  svg {
    display: block;
    flex: none;
  }
  time,
  .figures {
    font-variant-numeric: tabular-nums;
  }
  .hidden-visually {
    position: absolute;
    inline-size: 1px;
    block-size: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  .button {
    display: inline-flex;
    align-items: center;
    justify-content: center;
    gap: 6px;
    min-block-size: 32px;
    padding: 4px 12px;
    border: 1px solid var(--line);
    border-radius: 6px;
    background: var(--surface);
    font-size: 14px;
    font-weight: 500;
    white-space: nowrap;
    cursor: pointer;
    transition:
      background-color 120ms,
      border-color 120ms;
  }
  .button:hover {
    background: color-mix(in oklab, var(--text) 4%, var(--surface));
    border-color: color-mix(in oklab, var(--text) 18%, var(--line));
  }
  .button.primary {
    border-color: transparent;
    background: var(--accent);
    color: var(--on-accent);
  }
  .button.primary:hover {
    background: color-mix(in oklab, var(--text) 12%, var(--accent));
  }
  .button.bare {
    border-color: transparent;
    background: none;
  }
  .button.bare:hover {
    background: var(--hover);
  }
  .button.icon {
    inline-size: 32px;
    padding: 0;
  }
  .button:disabled,
  .button[aria-disabled='true'] {
    cursor: default;
    opacity: 0.55;
  }
  @media (pointer: coarse) {
    .button {
      min-block-size: 40px;
    }
    .button.icon {
      inline-size: 40px;
    }
  }
  @media (prefers-contrast: more) {
    :host {
      --line: var(--quiet);
      --quiet: var(--text);
    }
  }
  @media (forced-colors: active) {
    .button {
      border-color: ButtonText;
    }
    .button.primary {
      border-color: Highlight;
    }
  }
  @media (prefers-reduced-motion: reduce) {
    *,
    *::before,
    *::after {
      transition: none !important;
      animation: none !important;
    }
  }
`;
