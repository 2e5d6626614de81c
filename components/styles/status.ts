// The card that shows the progress of a load, or why it failed (internal/status-view.ts).

import { css } from 'lit';

export const statusStyles = css`
  .status {
    display: flex;
    align-items: center;
    gap: 0.5rem 0.8rem;
    padding: 0.8rem 1rem;
    border: 1px solid var(--_line);
    border-radius: calc(var(--_radius) - 4px);
    background: var(--_raised);
    font-size: 0.875em;
    line-height: 1.45;
    animation: status-in 0.25s var(--_ease);
  }
  @keyframes status-in {
    from {
      opacity: 0;
      transform: translateY(4px);
    }
  }
  .status-text {
    flex: 1 1 12rem;
    min-inline-size: 0;
  }
  .status p {
    margin: 0;
    overflow-wrap: anywhere;
  }
  .status-title {
    display: flex;
    justify-content: space-between;
    gap: 1rem;
  }
  .status-title b {
    font-weight: 600;
  }
  .percent,
  .status-detail {
    color: var(--_quiet);
    font-variant-numeric: tabular-nums;
  }
  .percent {
    white-space: nowrap;
  }
  .status-detail {
    font-size: 0.9em;
  }
  .bar {
    block-size: 6px;
    margin-block: 0.45rem 0.35rem;
    border-radius: 99px;
    background: light-dark(color-mix(in oklab, var(--_raised), #000 9%), color-mix(in oklab, var(--_raised), #fff 12%));
    overflow: hidden;
  }
  .bar > span {
    display: block;
    block-size: 100%;
    border-radius: inherit;
    background: var(--_accent);
    transition: inline-size 0.2s linear;
  }
  .bar.indeterminate > span {
    animation: bar-move 1.4s ease-in-out infinite;
  }
  @keyframes bar-move {
    0% {
      transform: translateX(-110%);
    }
    100% {
      transform: translateX(360%);
    }
  }
  .failure {
    flex-wrap: wrap;
    align-items: flex-start;
    border-color: color-mix(in oklab, var(--_danger) 35%, var(--_surface));
    background: var(--_danger-soft);
  }
  .failure .status-icon {
    color: var(--_danger);
    font-size: 1.1rem;
    line-height: 1;
  }
  .failure .status-title {
    color: var(--_danger);
    font-weight: 620;
  }
  .failure .status-hint {
    margin-block-start: 0.35rem;
  }
  .failure .status-detail {
    margin-block-start: 0.35rem;
    color: var(--_text);
    opacity: 0.8;
  }
  .failure code {
    font-family: var(--_font-code);
  }
  .failure .button {
    align-self: center;
    margin-inline-start: auto;
  }
`;
