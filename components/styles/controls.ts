// Buttons, icons, and text for screen readers only.

import { css } from 'lit';

export const controls = css`
  button {
    font: inherit;
    color: inherit;
    cursor: pointer;
    -webkit-tap-highlight-color: transparent;
  }
  button:disabled {
    cursor: default;
  }
  :focus-visible {
    outline: 2px solid var(--_accent);
    outline-offset: 2px;
  }
  .icon {
    display: block;
    inline-size: 1.25em;
    block-size: 1.25em;
    flex: none;
  }
  .button {
    flex: none;
    min-block-size: 2.25rem;
    padding: 0.35rem 0.95rem;
    border: 1px solid var(--_line-strong);
    border-radius: 999px;
    background: var(--_surface);
    font-size: 0.875em;
    font-weight: 550;
    line-height: 1.3;
    transition:
      background 0.15s,
      border-color 0.15s;
  }
  .button:hover {
    border-color: var(--_accent);
    background: var(--_accent-soft);
  }
  .button.quiet {
    border-color: transparent;
    background: none;
    color: var(--_quiet);
  }
  .button.quiet:hover {
    background: var(--_raised);
    color: var(--_text);
  }
  .icon-button {
    display: inline-grid;
    place-items: center;
    flex: none;
    inline-size: 2rem;
    block-size: 2rem;
    padding: 0;
    border: 0;
    border-radius: 9px;
    background: none;
    color: var(--_quiet);
    font-size: 0.875rem;
    transition:
      background 0.15s,
      color 0.15s;
  }
  .icon-button:hover:not(:disabled),
  .icon-button[aria-expanded='true'] {
    background: var(--_raised);
    color: var(--_text);
  }
  .icon-button:disabled {
    opacity: 0.4;
  }
  .visually-hidden {
    position: absolute;
    inline-size: 1px;
    block-size: 1px;
    margin: -1px;
    padding: 0;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
    border: 0;
  }
`;
