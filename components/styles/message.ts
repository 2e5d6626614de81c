// One turn of a chat.

import { css } from 'lit';

export const messageStyles = css`
  wp-message {
    display: block;
    min-inline-size: 0;
  }
  /* Turns that are out of sight cost no layout; the last ones change and stay out of it. */
  wp-message:not(:nth-last-child(-n + 3)) {
    content-visibility: auto;
    contain-intrinsic-size: auto none auto 9rem;
  }
  .turn {
    position: relative;
    animation: turn-in 0.28s var(--_ease);
  }
  @keyframes turn-in {
    from {
      opacity: 0;
      transform: translateY(6px);
    }
  }
  .turn.user {
    display: flex;
    flex-direction: row-reverse;
    align-items: flex-end;
    gap: 0.2rem;
  }
  .turn.user .bubble {
    max-inline-size: min(85%, 34rem);
    padding: 0.55rem 0.95rem;
    border-radius: calc(var(--_radius) + 2px);
    border-end-end-radius: 5px;
    background: var(--_accent-soft);
    overflow-wrap: anywhere;
    white-space: pre-wrap;
  }
  .turn-foot {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.1rem;
    min-block-size: 2rem;
    margin-block-start: 0.3rem;
    margin-inline-start: -0.45rem;
  }
  .turn.user .turn-foot {
    flex: none;
    margin: 0 0 0.25rem;
    opacity: 0;
    transition: opacity 0.15s;
  }
  .turn.user:is(:hover, :focus-within) .turn-foot {
    opacity: 1;
  }
  @media (hover: none) {
    .turn.user .turn-foot {
      opacity: 1;
    }
  }
  .figures {
    margin-inline-start: 0.4rem;
    color: var(--_quiet);
    font-size: 0.78em;
    font-variant-numeric: tabular-nums;
  }
  .thinking {
    display: flex;
    align-items: center;
    gap: 0.6rem;
    margin: 0;
    color: var(--_quiet);
    font-size: 0.9em;
  }
  .thinking i {
    display: inline-flex;
    gap: 0.28rem;
  }
  .thinking i::before,
  .thinking i::after,
  .thinking i span {
    content: '';
    inline-size: 0.42rem;
    block-size: 0.42rem;
    border-radius: 50%;
    background: var(--_accent);
    animation: thinking 1s ease-in-out infinite alternate;
  }
  .thinking i span {
    animation-delay: 0.2s;
  }
  .thinking i::after {
    animation-delay: 0.4s;
  }
  @keyframes thinking {
    from {
      opacity: 0.2;
    }
  }
  .turn .status {
    margin-block-start: 0.7rem;
  }
`;
