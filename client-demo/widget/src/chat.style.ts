/** The look of the visitor's chat. */
import { css } from 'lit';

/** Who it is about, welcome, notices. */
export const chatStyle = css`
  :host {
    display: flex;
    flex-direction: column;
    min-block-size: 0;
    overflow: hidden;
    background: var(--surface);
  }
  .emblem {
    background: var(--accent);
    color: var(--on-accent);
  }
  .who {
    flex: 1;
    min-inline-size: 0;
  }
  .state {
    block-size: 18px;
    color: var(--quiet);
    font-size: 12px;
  }
  .state:empty {
    display: none;
  }
  header .button {
    color: var(--quiet);
  }
  duet-conversation {
    flex: 1;
  }
  .welcome {
    display: flex;
    flex: 1;
    flex-direction: column;
    align-items: stretch;
    justify-content: center;
    gap: 8px;
    inline-size: min(100%, 360px);
    margin-inline: auto;
    padding: 24px;
    overflow: auto;
  }
  .hello {
    font-size: 24px;
    font-weight: 600;
    letter-spacing: -0.01em;
    line-height: 1.25;
    text-wrap: balance;
  }
  .promise {
    margin-block-end: 16px;
    color: var(--quiet);
    text-wrap: pretty;
  }
  label {
    font-size: 14px;
    font-weight: 500;
  }
  input {
    min-block-size: 40px;
    padding: 4px 12px;
    border: 1px solid var(--line);
    border-radius: 6px;
    background: var(--surface);
  }
  input::placeholder {
    color: var(--quiet);
    opacity: 1;
  }
  input:focus-visible {
    border-color: var(--accent);
    outline-offset: 0;
  }
  .welcome .button {
    min-block-size: 40px;
    margin-block-start: 8px;
    font-size: 15px;
  }
  .notice {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    justify-content: center;
    gap: 8px 12px;
    padding: 4px 20px 8px;
    color: var(--quiet);
    font-size: 14px;
    text-align: center;
  }
`;
