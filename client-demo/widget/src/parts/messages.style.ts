/** The look of the message list. */
import { css } from 'lit';

/** Bubbles, separators, the pill. */
export const messagesStyle = css`
  :host {
    position: relative;
    display: block;
    min-block-size: 0;
  }
  .log {
    block-size: 100%;
    overflow: hidden auto;
    overflow-anchor: none;
    overscroll-behavior: contain;
    padding: 8px 16px 4px;
    scrollbar-width: thin;
    scrollbar-color: var(--line) transparent;
  }
  .log:focus-visible {
    outline-offset: -2px;
  }
  .top {
    display: flex;
    align-items: center;
    justify-content: center;
    block-size: 32px;
    color: var(--quiet);
    font-size: 12px;
  }
  .top .late {
    animation: appear 150ms 300ms both;
  }
  .empty {
    padding-block: 24px;
    color: var(--quiet);
    text-align: center;
  }
  .day,
  .unread {
    display: flex;
    align-items: center;
    gap: 12px;
    margin-block: 16px 8px;
    color: var(--quiet);
    font-size: 12px;
    font-weight: 500;
  }
  .day::before,
  .day::after,
  .unread::before,
  .unread::after {
    content: '';
    flex: 1;
    block-size: 1px;
    background: var(--line);
  }
  .unread {
    color: var(--accent);
  }
  .unread::before,
  .unread::after {
    background: currentColor;
    opacity: 0.35;
  }
  .system {
    margin-block: 12px;
    color: var(--quiet);
    font-size: 12px;
    text-align: center;
  }
  .message {
    display: flex;
    flex-direction: column;
    align-items: flex-start;
    margin-block-start: 2px;
  }
  .message.own {
    align-items: flex-end;
  }
  .message.first {
    margin-block-start: 12px;
  }
  .author {
    margin: 0 4px 2px;
    color: var(--quiet);
    font-size: 12px;
    font-weight: 500;
  }
  .line {
    display: flex;
    align-items: flex-end;
    gap: 6px;
    max-inline-size: min(85%, 62ch);
  }
  .own .line {
    max-inline-size: min(90%, 62ch);
  }
  .bubble {
    min-inline-size: 0;
    padding: 7px 12px;
    border: 1px solid transparent;
    border-radius: 12px;
    background: var(--sunken);
  }
  .text {
    overflow-wrap: anywhere;
    white-space: pre-wrap;
  }
  .other .bubble {
    border-end-start-radius: 4px;
  }
  .other:not(.first) .bubble {
    border-start-start-radius: 4px;
  }
  .own .bubble {
    border-end-end-radius: 4px;
    background: light-dark(
      color-mix(in oklab, var(--accent) 14%, var(--surface)),
      color-mix(in oklab, var(--accent) 26%, var(--surface))
    );
  }
  .own:not(.first) .bubble {
    border-start-end-radius: 4px;
  }
  [data-status='queued'] .bubble {
    background: color-mix(in oklab, var(--accent) 7%, var(--surface));
  }
  [data-status='failed'] .bubble {
    border-color: var(--bad);
    background: color-mix(in oklab, var(--bad) 7%, var(--surface));
  }
  .state {
    flex: none;
    padding-block-end: 4px;
    color: var(--quiet);
  }
  [data-status='read'] .state {
    color: var(--accent);
  }
  [data-status='failed'] .state {
    color: var(--bad);
  }
  .meta {
    margin: 3px 4px 0;
    color: var(--quiet);
    font-size: 12px;
  }
  .own .meta {
    margin-inline-end: 22px;
  }
  .failure {
    display: flex;
    flex-wrap: wrap;
    justify-content: flex-end;
    gap: 2px 10px;
    max-inline-size: min(90%, 62ch);
    margin: 4px 4px 0;
    color: var(--bad);
    font-size: 12px;
  }
  .failure small {
    color: var(--quiet);
    font-size: inherit;
  }
  .remedies {
    display: inline-flex;
    gap: 4px;
  }
  .remedy {
    min-block-size: 24px;
    padding: 0 6px;
    border: 0;
    border-radius: 6px;
    background: none;
    color: var(--accent);
    font-weight: 600;
    cursor: pointer;
  }
  .remedy.quiet {
    color: var(--quiet);
  }
  .remedy:hover {
    background: var(--hover);
  }
  .note .bubble {
    border-color: color-mix(in oklab, var(--warning) 35%, transparent);
    background: color-mix(in oklab, var(--warning) 12%, var(--surface));
  }
  .mark {
    display: flex;
    align-items: center;
    gap: 4px;
    margin-block-end: 2px;
    color: var(--warning);
    font-size: 12px;
    font-weight: 500;
  }
  .deleted .bubble {
    border-color: var(--line);
    background: none;
    color: var(--quiet);
  }
  .gone {
    display: inline-flex;
    align-items: center;
    gap: 6px;
    font-style: italic;
  }
  .edited {
    margin-inline-start: 6px;
    color: var(--quiet);
    font-size: 12px;
    white-space: nowrap;
  }
  .quote {
    display: flex;
    flex-direction: column;
    inline-size: 100%;
    margin-block: 2px 5px;
    padding: 2px 10px;
    border: 0;
    border-inline-start: 3px solid var(--accent);
    border-radius: 3px;
    background: var(--hover);
    font-size: 13px;
    text-align: start;
    cursor: pointer;
  }
  .quote span {
    display: block;
    max-inline-size: 44ch;
    overflow: hidden;
    color: var(--quiet);
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  .quote b {
    font-weight: 600;
  }
  .reactions {
    display: flex;
    flex-wrap: wrap;
    gap: 4px;
    margin: 4px 4px 2px;
  }
  .own .reactions {
    justify-content: flex-end;
    margin-inline-end: 22px;
  }
  .chip {
    display: inline-flex;
    align-items: center;
    gap: 5px;
    min-block-size: 26px;
    padding: 0 9px;
    border: 1px solid var(--line);
    border-radius: 13px;
    background: var(--surface);
    font-size: 13px;
    cursor: pointer;
  }
  .chip:hover {
    border-color: color-mix(in oklab, var(--text) 18%, var(--line));
  }
  .chip:disabled {
    cursor: default;
  }
  .chip[aria-pressed='true'] {
    border-color: var(--accent);
    background: var(--tint);
    color: var(--accent);
    font-weight: 600;
  }
  .meta.late {
    animation: appear 150ms 300ms both;
  }
  /* Its place is kept before it is drawn, so that nothing moves. */
  duet-actions {
    inline-size: 28px;
    block-size: 28px;
  }
  .own duet-actions {
    order: -1;
  }
  .message:hover duet-actions {
    --opener: 1;
  }
  .shown .bubble {
    outline: 2px solid var(--accent);
    outline-offset: 2px;
  }
  @media (pointer: coarse) {
    .chip {
      min-block-size: 32px;
      border-radius: 16px;
    }
  }
  .pill {
    position: absolute;
    inset-block-end: 12px;
    inset-inline: 0;
    inline-size: max-content;
    margin-inline: auto;
    border-radius: 16px;
    box-shadow: var(--float);
  }
  @media (prefers-reduced-motion: no-preference) {
    .arrived .bubble {
      animation: rise 150ms ease-out;
    }
    .pill {
      animation: rise 150ms ease-out;
    }
  }
  @media (forced-colors: active) {
    .bubble {
      border-color: CanvasText;
    }
  }
  @keyframes rise {
    from {
      opacity: 0;
      translate: 0 8px;
    }
  }
  @keyframes appear {
    from {
      opacity: 0;
    }
  }
`;
