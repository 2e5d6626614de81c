// Rendered Markdown.

import { css } from 'lit';

export const prose = css`
  .prose {
    overflow-wrap: anywhere;
    line-height: 1.65;
  }
  .prose > :first-child {
    margin-block-start: 0;
  }
  .prose > :last-child {
    margin-block-end: 0;
  }
  .prose p,
  .prose ul,
  .prose ol,
  .prose blockquote {
    margin-block: 0.7em;
  }
  .prose :is(h1, h2, h3, h4, h5, h6) {
    margin-block: 1.3em 0.5em;
    font-size: 1.05em;
    font-weight: 650;
    line-height: 1.35;
    text-wrap: balance;
  }
  .prose h1 {
    font-size: 1.3em;
  }
  .prose h2 {
    font-size: 1.17em;
  }
  .prose :is(ul, ol) {
    padding-inline-start: 1.5em;
  }
  .prose li {
    margin-block: 0.25em;
  }
  .prose li::marker {
    color: var(--_quiet);
    font-variant-numeric: tabular-nums;
  }
  .prose li > :is(ul, ol) {
    margin-block: 0.25em;
  }
  .prose blockquote {
    margin-inline: 0;
    padding-inline-start: 1em;
    border-inline-start: 3px solid var(--_line-strong);
    color: var(--_quiet);
  }
  .prose a {
    color: var(--_accent);
    text-decoration-thickness: 1px;
    text-underline-offset: 0.18em;
  }
  .prose hr {
    margin-block: 1.4em;
    border: 0;
    border-block-start: 1px solid var(--_line);
  }
  .prose code {
    font-family: var(--_font-code);
    font-size: 0.88em;
  }
  .prose :not(pre) > code {
    padding: 0.12em 0.38em;
    border-radius: 5px;
    background: var(--_raised);
  }
  .prose .code {
    margin: 0.9em 0;
    border: 1px solid var(--_line);
    border-radius: calc(var(--_radius) - 5px);
    background: var(--_sunken);
    overflow: hidden;
  }
  .prose figcaption {
    display: flex;
    align-items: center;
    justify-content: space-between;
    padding-inline: 0.9rem 0.35rem;
    border-block-end: 1px solid var(--_line);
    color: var(--_quiet);
    font-size: 0.78em;
  }
  .text-button {
    min-block-size: 1.9rem;
    padding: 0.1rem 0.6rem;
    border: 0;
    border-radius: 7px;
    background: none;
    color: var(--_quiet);
  }
  .text-button:hover {
    background: var(--_raised);
    color: var(--_text);
  }
  .prose pre {
    margin: 0;
    padding: 0.8rem 0.9rem;
    overflow-x: auto;
    line-height: 1.5;
    overflow-wrap: normal;
    tab-size: 2;
  }
  .prose pre:focus-visible,
  .prose .table:focus-visible {
    outline-offset: -2px;
  }
  .prose .table {
    margin-block: 0.9em;
    overflow-x: auto;
    border: 1px solid var(--_line);
    border-radius: calc(var(--_radius) - 5px);
  }
  .prose table {
    inline-size: 100%;
    border-collapse: collapse;
    font-size: 0.93em;
    overflow-wrap: normal;
  }
  .prose :is(th, td) {
    padding: 0.45em 0.8em;
    border-block-end: 1px solid var(--_line);
  }
  .prose :is(th, td):not([align]) {
    text-align: start;
  }
  .prose th {
    background: var(--_raised);
    font-weight: 600;
  }
  .prose tr:last-child td {
    border-block-end: 0;
  }
  .prose.streaming > :last-child:is(p, h1, h2, h3, h4)::after,
  .prose.streaming > :last-child:is(ul, ol) > li:last-child::after {
    content: '';
    display: inline-block;
    inline-size: 0.5em;
    block-size: 1em;
    margin-inline-start: 0.2em;
    border-radius: 2px;
    background: var(--_accent);
    vertical-align: -0.14em;
    animation: caret 1.1s steps(2, jump-none) infinite;
  }
  @keyframes caret {
    to {
      opacity: 0.15;
    }
  }
`;
