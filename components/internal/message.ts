// One turn of a chat, inside the shadow root of <wp-chat> (it renders into itself, so that its parts are parts of
// <wp-chat> and a selection can span several turns). While its answer streams, only this element renders.

import { html, LitElement, nothing, type TemplateResult } from 'lit';
import { property } from 'lit/decorators.js';
import type { Turn } from './conversation.ts';
import { copyText } from './clipboard.ts';
import { formatNumber, formatRate } from './format.ts';
import { icons } from './icons.ts';
import { loadMarkdown, type MarkdownView } from './markdown-loader.ts';
import { failureView } from './status-view.ts';

/** What a turn asks of its chat; the event does not leave <wp-chat>. */
export type TurnAction = { action: 'regenerate' } | { action: 'announce'; line: string };

const COPIED_MS = 1600;

/** @internal */
export class MessageElement extends LitElement {
  @property({ attribute: false }) turn!: Turn;
  /** The turn's outcome when the chat last rendered: a new one renders this element. */
  @property({ attribute: false }) outcome: Turn['outcome'] | undefined;
  /** It is the last turn: its answer can be asked for again. */
  @property({ attribute: false }) isLast = false;
  /** Says why the turn waits: for the model to load, or for its turn. */
  @property({ attribute: false }) waitingFor = '';
  #view: MarkdownView | undefined;
  #copiedTimer: ReturnType<typeof setTimeout> | undefined;

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.#copiedTimer);
  }

  protected override render(): TemplateResult {
    return this.turn.role === 'user' ? this.#renderQuestion() : this.#renderAnswer();
  }

  #renderQuestion(): TemplateResult {
    return html`
      <article class="turn user" part="message user-message">
        <h3 class="visually-hidden">You</h3>
        <div class="bubble" part="user-bubble" dir="auto">${this.turn.content}</div>
        <div class="turn-foot">${this.#renderCopy('Copy your message')}</div>
      </article>
    `;
  }

  #renderAnswer(): TemplateResult {
    const { content, outcome } = this.turn;
    const isRunning = outcome.status === 'streaming' || outcome.status === 'waiting';
    return html`
      <article class="turn assistant" part="message assistant-message" aria-busy=${isRunning}>
        <h3 class="visually-hidden">Answer</h3>
        <div class="prose ${isRunning ? 'streaming' : ''}" part="answer" dir="auto" @click=${this.#onProseClick}></div>
        ${
          isRunning && content === ''
            ? html`<p class="thinking">
                <i aria-hidden="true"><span></span></i>${this.waitingFor}
              </p>`
            : nothing
        }
        ${outcome.status === 'failed' ? failureView(outcome.error, () => this.#act({ action: 'regenerate' })) : nothing}
        ${isRunning ? nothing : this.#renderFoot()}
      </article>
    `;
  }

  #renderFoot(): TemplateResult {
    const figures = this.#figures();
    const isFailed = this.turn.outcome.status === 'failed';
    return html`
      <div class="turn-foot" part="message-footer">
        ${this.turn.content ? this.#renderCopy('Copy the answer') : nothing}
        ${
          this.isLast && !isFailed
            ? html`<button
                type="button"
                class="icon-button"
                part="regenerate-button"
                title="Answer again"
                aria-label="Answer again"
                @click=${() => this.#act({ action: 'regenerate' })}
              >
                ${icons.again}
              </button>`
            : nothing
        }
        ${figures ? html`<span class="figures" part="figures">${figures}</span>` : nothing}
      </div>
    `;
  }

  #renderCopy(label: string): TemplateResult {
    const isCopied = this.#copiedTimer !== undefined;
    return html`<button
      type="button"
      class="icon-button"
      part="copy-button"
      title=${label}
      aria-label=${label}
      @click=${this.#copyMessage}
    >
      ${isCopied ? icons.done : icons.copy}
    </button>`;
  }

  #figures(): string {
    const { outcome } = this.turn;
    if (outcome.status !== 'done') return '';
    const { finishReason, usage, timing } = outcome;
    return [
      finishReason === 'abort' ? 'Stopped' : finishReason === 'length' ? 'Cut at the length limit' : '',
      usage ? `${formatNumber(usage.completionTokens)} ${usage.completionTokens === 1 ? 'token' : 'tokens'}` : '',
      timing && timing.tokensPerSecond > 0 ? formatRate(timing.tokensPerSecond) : '',
      timing ? `first after ${formatNumber(timing.timeToFirstTokenMs / 1000, 1)} s` : '',
    ]
      .filter(Boolean)
      .join(' · ');
  }

  protected override updated(): void {
    if (this.turn.role === 'assistant') this.#showAnswer();
  }

  #showAnswer(): void {
    const container = this.querySelector<HTMLElement>('.prose');
    if (!container) return;
    const { content, outcome } = this.turn;
    const View = loadMarkdown(() => this.requestUpdate());
    if (!View) {
      container.style.whiteSpace = 'pre-wrap'; // as it was written, until Markdown is there
      container.textContent = content;
      return;
    }
    if (this.#view?.container !== container) {
      container.replaceChildren();
      container.style.whiteSpace = '';
      this.#view = new View(container);
    }
    this.#view.update(content, outcome.status === 'done' || outcome.status === 'failed');
  }

  #act(action: TurnAction): void {
    this.dispatchEvent(new CustomEvent<TurnAction>('wp-turn-action', { detail: action, bubbles: true }));
  }

  readonly #copyMessage = async (): Promise<void> => {
    if (!(await this.#copy(this.turn.content))) return;
    clearTimeout(this.#copiedTimer);
    this.#copiedTimer = setTimeout(() => {
      this.#copiedTimer = undefined;
      this.requestUpdate();
    }, COPIED_MS);
    this.requestUpdate();
  };

  readonly #onProseClick = async (event: Event): Promise<void> => {
    const button = event.target instanceof Element ? event.target.closest('figcaption button') : null;
    if (!button || !(await this.#copy(button.closest('figure')?.querySelector('pre')?.textContent ?? ''))) return;
    button.textContent = 'Copied';
    setTimeout(() => (button.textContent = 'Copy'), COPIED_MS);
  };

  async #copy(text: string): Promise<boolean> {
    const isCopied = await copyText(text);
    this.#act({ action: 'announce', line: isCopied ? 'Copied' : 'The browser did not allow copying' });
    return isCopied;
  }
}
