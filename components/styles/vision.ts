// <wp-vision>: the stage with the image, the buttons under it, the scores beside it.

import { css } from 'lit';

export const visionStyles = css`
  :host {
    display: block;
    container-type: inline-size;
  }
  .base {
    display: grid;
    gap: 0.9rem;
    padding: 1rem;
    border: 1px solid var(--_line);
    border-radius: var(--_radius);
    background: var(--_surface);
  }
  .columns {
    display: grid;
    gap: 0.9rem 1.25rem;
  }
  .side {
    display: grid;
    align-content: start;
    gap: 0.9rem;
    min-inline-size: 0;
  }
  @container (min-width: 38rem) {
    .columns.has-side {
      grid-template-columns: minmax(0, 1.15fr) minmax(0, 1fr);
    }
  }
  .stage {
    position: relative;
    display: grid;
    place-items: center;
    min-block-size: 6rem;
    border-radius: calc(var(--_radius) - 4px);
    background: var(--_sunken);
    overflow: hidden;
  }
  .stage::after {
    content: '';
    position: absolute;
    inset: 0;
    border: 1px solid var(--_line);
    border-radius: inherit;
    pointer-events: none;
  }
  .stage.empty {
    min-block-size: 13rem;
    cursor: pointer;
  }
  .stage.empty::after {
    border: 1.5px dashed var(--_line-strong);
  }
  .stage.over {
    background: var(--_accent-soft);
  }
  .stage.over::after {
    border: 2px solid var(--_accent);
  }
  canvas,
  video {
    display: block;
    max-inline-size: 100%;
    max-block-size: 24rem;
  }
  [hidden] {
    display: none !important;
  }
  .invitation {
    display: grid;
    justify-items: center;
    gap: 0.35rem;
    padding: 1.5rem 1rem;
    text-align: center;
  }
  .invitation svg {
    inline-size: 2.5rem;
    block-size: 2.5rem;
    color: var(--_accent);
  }
  .invitation p {
    margin: 0;
  }
  .quiet-text {
    color: var(--_quiet);
    font-size: 0.875em;
  }
  .live {
    position: absolute;
    inset-block-start: 0.6rem;
    inset-inline-start: 0.6rem;
    padding: 0.1rem 0.6rem;
    border-radius: 99px;
    background: #17191bd9;
    color: #fff;
    font-size: 0.8125em;
  }
  .actions {
    display: flex;
    flex-wrap: wrap;
    gap: 0.5rem;
  }
  @container (max-width: 26rem) {
    .actions .button {
      flex: 1 1 auto;
      padding-inline: 0.7rem;
    }
  }
  .field {
    display: grid;
    gap: 0.3rem;
  }
  .field > span {
    font-size: 0.875em;
  }
  .field > span:first-child {
    font-weight: 550;
  }
  .field input {
    inline-size: 100%;
    min-block-size: 2.5rem;
    padding: 0.35rem 0.8rem;
    border: 1px solid var(--_line-strong);
    border-radius: calc(var(--_radius) - 6px);
    background: var(--_sunken);
    color: inherit;
    font: inherit;
  }
  .field input:focus-visible {
    outline: 0;
    border-color: var(--_accent);
    box-shadow: 0 0 0 1px var(--_accent);
  }
  .scores {
    display: grid;
    gap: 0.75rem;
    margin: 0;
    padding: 0;
    list-style: none;
    transition: opacity 0.15s;
  }
  .scores.stale {
    opacity: 0.55;
  }
  .score {
    display: grid;
    grid-template-columns: 1fr auto;
    gap: 0.25rem 0.75rem;
  }
  .label {
    min-inline-size: 0;
    overflow-wrap: anywhere;
    line-height: 1.35;
  }
  .score:first-child .label {
    font-weight: 600;
  }
  .value {
    color: var(--_quiet);
    font-variant-numeric: tabular-nums;
  }
  .track {
    grid-column: 1 / -1;
    block-size: 8px;
    border-radius: 99px;
    background: light-dark(
      color-mix(in oklab, var(--_surface), #000 9%),
      color-mix(in oklab, var(--_surface), #fff 14%)
    );
    overflow: hidden;
  }
  .track > span {
    display: block;
    block-size: 100%;
    border-radius: inherit;
    background: var(--_accent);
    transition: inline-size 0.25s var(--_ease);
  }
  .busy {
    display: flex;
    align-items: center;
    gap: 0.6rem;
    margin: 0;
    color: var(--_quiet);
    font-size: 0.875em;
  }
  .busy::before {
    content: '';
    inline-size: 0.9rem;
    block-size: 0.9rem;
    border: 2px solid var(--_line-strong);
    border-block-start-color: var(--_accent);
    border-radius: 50%;
    animation: turn 0.9s linear infinite;
  }
  @keyframes turn {
    to {
      transform: rotate(1turn);
    }
  }
  .reference .quiet-text {
    flex: 1;
    min-inline-size: 0;
    margin: 0;
    line-height: 1.4;
  }
  .reference {
    display: flex;
    align-items: center;
    gap: 0.75rem;
  }
  .reference canvas {
    inline-size: 4rem;
    block-size: 4rem;
    object-fit: cover;
    border: 1px solid var(--_line);
    border-radius: 10px;
  }
`;
