// The field where a person writes, and the button that sends or stops. A template: the state is the chat's.

import { html, type TemplateResult } from 'lit';
import { icons } from './icons.ts';

export interface ComposerState {
  placeholder: string;
  draft: string;
  isGenerating: boolean;
}

export interface ComposerActions {
  input(text: string): void;
  send(): void;
  stop(): void;
  /** The field got the focus: a lazy model may be wanted soon. */
  focus(): void;
}

export function composerView(state: ComposerState, actions: ComposerActions): TemplateResult {
  const { placeholder, draft, isGenerating } = state;
  const onKeydown = (event: KeyboardEvent) => {
    // While an input method composes, Enter belongs to it (Safari says so only by the key code 229).
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    if (!isGenerating) actions.send();
  };
  return html`
    <form
      class="composer"
      part="composer"
      @submit=${(event: Event) => {
        event.preventDefault();
        if (!isGenerating) actions.send();
      }}
    >
      <textarea
        part="input"
        rows="1"
        dir="auto"
        aria-label="Message"
        placeholder=${placeholder}
        .value=${draft}
        enterkeyhint="send"
        autocomplete="off"
        @input=${(event: InputEvent) => actions.input((event.target as HTMLTextAreaElement).value)}
        @keydown=${onKeydown}
        @focus=${() => actions.focus()}
      ></textarea>
      ${
        isGenerating
          ? html`<button
              type="button"
              class="send"
              part="stop-button"
              title="Stop (Esc)"
              aria-label="Stop"
              @click=${() => actions.stop()}
            >
              ${icons.stop}
            </button>`
          : html`<button
              type="submit"
              class="send"
              part="send-button"
              title="Send (Enter)"
              aria-label="Send"
              ?disabled=${draft.trim() === ''}
            >
              ${icons.send}
            </button>`
      }
    </form>
  `;
}
