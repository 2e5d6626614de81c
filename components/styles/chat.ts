// <wp-chat>: header, log, dock.

import { css } from 'lit';

export const chatStyles = css`
  :host {
    display: block;
    block-size: 36rem;
    min-inline-size: 0;
    container: wp-chat / inline-size;
  }
  .base {
    position: relative;
    display: flex;
    flex-direction: column;
    block-size: 100%;
    border: 1px solid var(--_line);
    border-radius: var(--_radius);
    background: var(--_surface);
    overflow: hidden;
  }
  .header {
    display: flex;
    align-items: center;
    gap: 0.15rem;
    min-block-size: 3.1rem;
    padding: 0.5rem 0.6rem 0.5rem 1.1rem;
    padding-inline: 1.1rem 0.6rem;
    border-block-end: 1px solid var(--_line);
  }
  .identity {
    display: flex;
    flex: 1;
    align-items: baseline;
    gap: 0.55rem;
    min-inline-size: 0;
    font-size: 0.875em;
  }
  .model-name {
    overflow: hidden;
    font-weight: 620;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  .model-facts {
    overflow: hidden;
    color: var(--_quiet);
    font-size: 0.93em;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  .dot {
    align-self: center;
    flex: none;
    inline-size: 0.5rem;
    block-size: 0.5rem;
    border-radius: 50%;
    background: var(--_line-strong);
    transition: background 0.3s;
  }
  :host([state='ready']) .dot {
    background: var(--_accent);
  }
  :host([state='loading']) .dot,
  :host([state='generating']) .dot {
    background: var(--_accent);
    animation: pulse 1.2s ease-in-out infinite alternate;
  }
  :host([state='failed']) .dot {
    background: var(--_danger);
  }
  @keyframes pulse {
    to {
      opacity: 0.25;
      transform: scale(0.8);
    }
  }
  .system {
    padding: 0.8rem 1.1rem 1rem;
    border-block-end: 1px solid var(--_line);
    background: var(--_sunken);
  }
  .system label {
    display: block;
    margin-block-end: 0.35rem;
    color: var(--_quiet);
    font-size: 0.8em;
    font-weight: 550;
  }
  .system textarea {
    inline-size: 100%;
    max-block-size: 10rem;
    padding: 0.55rem 0.75rem;
    border: 1px solid var(--_line-strong);
    border-radius: 10px;
    background: var(--_surface);
    resize: vertical;
  }
  .log {
    flex: 1;
    min-block-size: 0;
    overflow: auto;
    overscroll-behavior: contain;
    scrollbar-width: thin;
    scrollbar-color: var(--_line-strong) transparent;
  }
  .log:focus-visible {
    outline-offset: -3px;
    border-radius: 6px;
  }
  .log-content {
    display: flex;
    flex-direction: column;
    gap: 1.4rem;
    min-block-size: 100%;
    max-inline-size: 46rem;
    margin-inline: auto;
    padding: 1.4rem 1.1rem 1.3rem;
  }
  .empty {
    display: flex;
    flex-direction: column;
    align-items: flex-start;
    justify-content: flex-end;
    flex: 1;
    gap: 0.3rem;
    padding-block-start: 1rem;
  }
  .greeting {
    margin: 0;
    font-size: 1.5em;
    font-weight: 640;
    letter-spacing: -0.015em;
    line-height: 1.25;
    text-wrap: balance;
  }
  .greeting-note {
    margin: 0;
    color: var(--_quiet);
  }
  .suggestions,
  ::slotted([slot='suggestions']) {
    font-family: var(--_font);
  }
  .suggestions {
    display: flex;
    flex-wrap: wrap;
    gap: 0.5rem;
    margin-block-start: 1rem;
  }
  .suggestion {
    padding: 0.45rem 0.95rem;
    border: 1px solid var(--_line-strong);
    border-radius: 1.2rem;
    background: var(--_surface);
    font-size: 0.9em;
    line-height: 1.35;
    text-align: start;
    transition:
      border-color 0.15s,
      background 0.15s;
  }
  .suggestion:hover {
    border-color: var(--_accent);
    background: var(--_accent-soft);
  }
  .latest {
    position: absolute;
    inset-block-end: calc(100% + 0.6rem);
    inset-inline: 0;
    display: flex;
    justify-content: center;
    pointer-events: none;
  }
  .latest button {
    display: flex;
    align-items: center;
    gap: 0.4rem;
    padding: 0.35rem 0.9rem 0.35rem 0.7rem;
    border: 1px solid var(--_line-strong);
    border-radius: 99px;
    background: var(--_surface);
    box-shadow: 0 4px 14px rgb(0 0 0 / 0.14);
    font-size: 0.83em;
    pointer-events: auto;
  }
  .dock {
    position: relative;
    inline-size: 100%;
    max-inline-size: 46rem;
    margin-inline: auto;
    padding: 0 1.1rem 0.8rem;
  }
  /* Text goes under the field softly. */
  .dock::before {
    content: '';
    position: absolute;
    inset-block-end: 100%;
    inset-inline: 1px 12px;
    block-size: 1.4rem;
    background: linear-gradient(transparent, var(--_surface));
    pointer-events: none;
  }
  .dock .status {
    margin-block-end: 0.7rem;
  }
  .composer {
    display: flex;
    align-items: flex-end;
    gap: 0.4rem;
    padding: 0.35rem;
    border: 1px solid var(--_line-strong);
    border-radius: calc(var(--_radius) + 6px);
    background: var(--_sunken);
    transition:
      border-color 0.15s,
      box-shadow 0.15s;
  }
  .composer:focus-within {
    border-color: var(--_accent);
    box-shadow: 0 0 0 3px color-mix(in oklab, var(--_accent) 18%, transparent);
  }
  textarea {
    color: inherit;
    font: inherit;
  }
  textarea::placeholder {
    color: var(--_quiet);
    opacity: 1;
  }
  .composer textarea {
    flex: 1;
    min-inline-size: 0;
    min-block-size: 2.4rem;
    max-block-size: 9.5rem;
    padding: 0.4rem 0.3rem 0.4rem 0.75rem;
    padding-inline: 0.75rem 0.3rem;
    border: 0;
    outline: 0;
    background: none;
    line-height: 1.55;
    resize: none;
    field-sizing: content;
    scrollbar-width: thin;
  }
  .send {
    display: grid;
    place-items: center;
    flex: none;
    inline-size: 2.4rem;
    block-size: 2.4rem;
    padding: 0;
    border: 0;
    border-radius: 50%;
    background: var(--_accent);
    color: var(--_on-accent);
    transition:
      background 0.15s,
      transform 0.15s,
      opacity 0.15s;
  }
  .send:hover:not(:disabled) {
    background: color-mix(in oklab, var(--_accent), var(--_text) 18%);
  }
  .send:active:not(:disabled) {
    transform: scale(0.94);
  }
  .send:disabled {
    background: var(--_line);
    color: var(--_quiet);
  }
  .notice {
    margin: 0.55rem 0.4rem 0;
    color: var(--_quiet);
    font-size: 0.77em;
    line-height: 1.45;
    text-align: center;
    text-wrap: balance;
  }
  .notice:empty {
    display: none;
  }
  @container wp-chat (max-width: 30rem) {
    .model-facts {
      display: none;
    }
    .log-content {
      padding-inline: 0.85rem;
    }
    .dock {
      padding-inline: 0.6rem;
      padding-block-end: 0.6rem;
    }
    .greeting {
      font-size: 1.25em;
    }
    .composer textarea {
      font-size: max(1em, 16px); /* below 16 px, iOS zooms into the field */
    }
  }
  @media (forced-colors: active) {
    .dot,
    .bar > span,
    .send {
      forced-color-adjust: none;
    }
  }
`;
