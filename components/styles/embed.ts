// <wp-embed>: the field and the list of results.

import { css } from 'lit';

export const embedStyles = css`
  :host {
    display: block;
  }
  .base {
    display: grid;
    gap: 0.9rem;
    padding: 1rem;
    border: 1px solid var(--_line);
    border-radius: var(--_radius);
    background: var(--_surface);
  }
  .search {
    display: flex;
    align-items: center;
    gap: 0.6rem;
    padding-inline: 0.9rem;
    border: 1px solid var(--_line-strong);
    border-radius: calc(var(--_radius) - 4px);
    background: var(--_sunken);
  }
  .search:focus-within {
    border-color: var(--_accent);
    box-shadow: 0 0 0 1px var(--_accent);
  }
  .search svg {
    flex: none;
    inline-size: 1.1rem;
    block-size: 1.1rem;
    color: var(--_quiet);
  }
  input {
    flex: 1;
    min-inline-size: 0;
    min-block-size: 2.75rem;
    padding: 0;
    border: 0;
    outline: 0;
    background: none;
    color: inherit;
    font: inherit;
  }
  input::placeholder {
    color: var(--_quiet);
    opacity: 1;
  }
  .summary {
    margin: 0;
    color: var(--_quiet);
    font-size: 0.875em;
    font-variant-numeric: tabular-nums;
  }
  .results {
    display: grid;
    gap: 0.5rem;
    margin: 0;
    padding: 0;
    list-style: none;
  }
  .result {
    display: flex;
    align-items: flex-start;
    justify-content: space-between;
    gap: 1rem;
    padding: 0.65rem 0.9rem;
    border: 1px solid var(--_line);
    border-radius: calc(var(--_radius) - 6px);
    background: var(--_raised);
    cursor: pointer;
  }
  .result:hover,
  .result:focus-visible {
    border-color: var(--_accent);
    background: var(--_accent-soft);
  }
  .item {
    flex: 1;
    min-inline-size: 0;
    overflow-wrap: anywhere;
  }
  .score {
    flex: none;
    display: grid;
    gap: 0.25rem;
    inline-size: 3.25rem;
    padding-block-start: 0.15rem;
    color: var(--_quiet);
    font-size: 0.8125em;
    font-variant-numeric: tabular-nums;
    text-align: end;
  }
  .score > span {
    display: block;
    block-size: 4px;
    border-radius: 99px;
    background: var(--_line);
    overflow: hidden;
  }
  .score > span > span {
    display: block;
    block-size: 100%;
    background: var(--_accent);
  }
  ::slotted(*) {
    margin-block: 0;
  }
  .items {
    display: grid;
    gap: 0.5rem;
  }
`;
