/** The head of a side: who it is about, and what can be done. The visitor's chat and the agent's desk begin alike. */
import { css } from 'lit';

/** The look of `header` and its `h2`. */
export const headStyle = css`
  header {
    display: flex;
    flex: none;
    align-items: center;
    gap: 12px;
    block-size: 64px;
    padding: 0 12px 0 16px;
    border-block-end: 1px solid var(--line);
  }
  h2 {
    overflow: hidden;
    font-size: 15px;
    font-weight: 600;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
`;
