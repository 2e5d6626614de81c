// <wp-memory-meter>.

import { css } from 'lit';

export const meterStyles = css`
  :host {
    display: block;
    min-inline-size: 0;
    container: wp-meter / inline-size;
    font-size: calc(var(--_size) * 0.9);
    font-variant-numeric: tabular-nums;
  }
  .base {
    padding: 1rem 1.1rem 1.05rem;
    border: 1px solid var(--_line);
    border-radius: var(--_radius);
    background: var(--_surface);
  }
  .head {
    display: flex;
    flex-wrap: wrap;
    align-items: baseline;
    justify-content: space-between;
    gap: 0.1rem 1rem;
  }
  .label {
    font-weight: 620;
  }
  .total {
    color: var(--_quiet);
    font-size: 0.93em;
  }
  .total b {
    color: var(--_text);
    font-weight: 620;
  }
  .track {
    display: flex;
    gap: 2px;
    block-size: 0.7rem;
    margin-block: 0.6rem 0.2rem;
    border-radius: 99px;
    background: light-dark(color-mix(in oklab, var(--_raised), #000 5%), color-mix(in oklab, var(--_raised), #fff 7%));
    overflow: hidden;
  }
  .segment {
    min-inline-size: 3px;
    block-size: 100%;
    background: var(--_colour);
    transition: flex-basis 0.4s var(--_ease);
    flex: 0 0 0;
  }
  .weights {
    --_colour: var(--_weights);
  }
  .cache {
    --_colour: var(--_cache);
  }
  .activations {
    --_colour: var(--_activations);
  }
  .other {
    --_colour: var(--_quiet);
  }
  table {
    inline-size: 100%;
    margin-block: 0.7rem 0;
    border-collapse: collapse;
    line-height: 1.4;
  }
  th,
  td {
    padding: 0.28rem 0;
    font-weight: 400;
    text-align: end;
    white-space: nowrap;
  }
  thead :is(th, td) {
    color: var(--_quiet);
    font-size: 0.88em;
  }
  :is(th, td):first-child {
    text-align: start;
    white-space: normal;
  }
  tbody th::before {
    content: '';
    display: inline-block;
    inline-size: 0.6rem;
    block-size: 0.6rem;
    margin-inline-end: 0.55rem;
    border-radius: 3px;
    background: var(--_colour);
  }
  td + td,
  th + th {
    padding-inline-start: 1rem;
  }
  tfoot :is(th, td) {
    padding-block-start: 0.45rem;
    border-block-start: 1px solid var(--_line);
    font-weight: 620;
  }
  tbody tr:last-child :is(th, td) {
    padding-block-end: 0.45rem;
  }
  .context {
    margin-block-start: 0.8rem;
    padding-block-start: 0.75rem;
    border-block-start: 1px solid var(--_line);
  }
  .context .track {
    block-size: 0.4rem;
    margin-block: 0.45rem 0;
  }
  .context .segment {
    --_colour: var(--_text);
    opacity: 0.75;
  }
  .nothing {
    margin: 0.35rem 0 0;
    color: var(--_quiet);
  }
  :host([layout='compact']) .base {
    padding: 0.6rem 0.85rem 0.7rem;
  }
  :host([layout='compact']) .track {
    block-size: 0.4rem;
    margin-block: 0.4rem 0;
  }
`;
