// The pieces of <wp-chat> as templates: its head, the panel of the system prompt, the empty state. They hold no state.

import { html, nothing, type TemplateResult } from 'lit';
import { WpError, type ModelInfo } from '../../runtime/index.ts';
import type { ModelStatus } from '../model-session.ts';
import { formatCount, formatNumber } from './format.ts';
import { icons } from './icons.ts';

export const STATUS_TEXTS: Record<ModelStatus, string> = {
  idle: 'Not loaded',
  loading: 'Loading',
  ready: 'Ready',
  generating: 'Answering',
  failed: 'Failed',
};

export interface HeaderState {
  name: string;
  info: ModelInfo | undefined;
  /** Said in words, since a coloured dot alone says nothing to many. */
  statusText: string;
  hasTurns: boolean;
  showSystem: boolean;
  isSystemOpen: boolean;
}

export interface HeaderActions {
  toggleSystem(): void;
  clear(): void;
}

/** `20.7 M parameters · 4.5 bits · WebGPU`. */
export function modelFacts(info: ModelInfo): string {
  const { plan, parameters } = info;
  const bits = formatNumber(plan.bitsPerWeight, Number.isInteger(plan.bitsPerWeight) ? 0 : 1);
  const backend = plan.backend === 'webgpu' ? 'WebGPU' : 'WASM';
  return `${formatCount(parameters)} parameters · ${bits} bits a weight · ${backend}`;
}

export function headerView(state: HeaderState, actions: HeaderActions): TemplateResult {
  const { name, info, statusText, hasTurns, showSystem, isSystemOpen } = state;
  return html`
    <header class="header" part="header">
      <div class="identity">
        <span class="dot" aria-hidden="true"></span>
        <span class="model-name">${name}</span>
        <span class="visually-hidden">${statusText}</span>
        ${info ? html`<span class="model-facts">${modelFacts(info)}</span>` : nothing}
      </div>
      <slot name="actions"></slot>
      ${
        showSystem
          ? html`<button
              type="button"
              class="icon-button"
              part="system-button"
              title="System prompt"
              aria-label="System prompt"
              aria-expanded=${isSystemOpen}
              aria-controls="system"
              @click=${() => actions.toggleSystem()}
            >
              ${icons.settings}
            </button>`
          : nothing
      }
      <button
        type="button"
        class="icon-button"
        part="clear-button"
        title="Clear the conversation"
        aria-label="Clear the conversation"
        ?disabled=${!hasTurns}
        @click=${() => actions.clear()}
      >
        ${icons.clear}
      </button>
    </header>
  `;
}

export function systemView(system: string, isOpen: boolean, onInput: (text: string) => void): TemplateResult {
  return html`
    <div class="system" id="system" ?hidden=${!isOpen}>
      <label for="system-input">System prompt: what the model is told before the conversation</label>
      <textarea
        id="system-input"
        part="system-input"
        rows="3"
        dir="auto"
        .value=${system}
        @input=${(event: InputEvent) => onInput((event.target as HTMLTextAreaElement).value)}
      ></textarea>
    </div>
  `;
}

export function emptyView(suggestions: readonly string[], send: (text: string) => void): TemplateResult {
  const onSlotClick = (event: Event) => {
    const target = event.target instanceof Element ? event.target.closest('button, [data-prompt], option') : null;
    if (!target) return;
    const value = target.getAttribute('data-prompt') ?? target.getAttribute('value') ?? target.textContent;
    if (value?.trim()) send(value.trim());
  };
  return html`
    <div class="empty">
      <slot name="empty">
        <p class="greeting">What shall we talk about?</p>
        <p class="greeting-note">The model runs on your device. What you write stays here.</p>
      </slot>
      <div class="suggestions" role="group" aria-label="Suggestions" @click=${onSlotClick}>
        ${suggestions.map(
          (text) => html` <button type="button" class="suggestion" part="suggestion" dir="auto">${text}</button> `,
        )}
        <slot name="suggestions"></slot>
      </div>
    </div>
  `;
}

/** A chat that has no model: what to do about it. `id` is what its attribute `for` says. */
export function noModelError(id: string): WpError {
  return id
    ? new WpError(
        'not-found',
        `This page has no element with a model and the id “${id}”.`,
        'Give the <wp-model> that id, or correct the attribute `for`.',
      )
    : new WpError(
        'invalid-source',
        'This chat has no model.',
        'Give it a src such as "wp:fable-25m", put it inside a <wp-model>, or name one with for="its-id".',
      );
}
