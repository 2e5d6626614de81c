// <wp-chat>: attributes, rendering and wiring. The course of a conversation is internal/chat-engine.ts, one turn is
// internal/message.ts. This file is longer than 400 lines because a third of it documents attributes, parts and events.

import { html, nothing, type TemplateResult } from 'lit';
import { property, query, state } from 'lit/decorators.js';
import { guard } from 'lit/directives/guard.js';
import { repeat } from 'lit/directives/repeat.js';
import type { ChatMessage, Model } from '../runtime/index.ts';
import { emit, type MessageDetail } from './events.ts';
import { GenerationElement } from './generation-element.ts';
import { Announcer } from './internal/announcer.ts';
import { listAttribute } from './internal/attributes.ts';
import { AutoScroll } from './internal/auto-scroll.ts';
import { ChatEngine } from './internal/chat-engine.ts';
import { emptyView, headerView, noModelError, STATUS_TEXTS, systemView } from './internal/chat-view.ts';
import { composerView } from './internal/composer.ts';
import type { Turn } from './internal/conversation.ts';
import { nameOfSource } from './internal/format.ts';
import { icons } from './internal/icons.ts';
import { loadMarkdown } from './internal/markdown-loader.ts';
import type { MessageElement, TurnAction } from './internal/message.ts';
import { failureView, idleView, progressView } from './internal/status-view.ts';
import { ignoreReportedFailure } from './model-owner.ts';
import { ModelReference } from './model-reference.ts';
import type { ModelSession, ModelStatus } from './model-session.ts';
import { chatStyles } from './styles/chat.ts';
import { controls } from './styles/controls.ts';
import { messageStyles } from './styles/message.ts';
import { prose } from './styles/prose.ts';
import { statusStyles } from './styles/status.ts';
import { tokens } from './styles/tokens.ts';

/**
 * A chat with a model that runs in this page. Give it a `src` of its own, put it inside a `<wp-model>`, or name one
 * by `for`.
 *
 * @summary A chat with a model on this device.
 * @element wp-chat
 *
 * @slot empty - Replaces the greeting of an empty conversation.
 * @slot suggestions - Buttons whose value or text is sent when they are clicked, shown while the conversation is empty.
 * @slot actions - Controls of your own, in the header.
 *
 * @fires {CustomEvent<MessageDetail>} wp-message - A message was sent, or an answer was completed or stopped.
 * @fires {CustomEvent<{ text: string }>} wp-part - A piece of an answer arrived.
 * @fires {CustomEvent<null>} wp-clear - The conversation was cleared.
 * @fires {CustomEvent<StateDetail>} wp-state - With a `src`: the state of the model changed.
 * @fires {CustomEvent<LoadProgress>} wp-progress - With a `src`: bytes arrived, or loading entered its next phase.
 * @fires {CustomEvent<{ model: Model }>} wp-ready - With a `src`: the model can be used.
 * @fires {CustomEvent<{ error: WpError }>} wp-error - Loading or answering failed.
 *
 * @csspart base - The whole chat.
 * @csspart header - The line with the model's name and the controls.
 * @csspart log - The scrolling conversation.
 * @csspart message - A turn; also `user-message` or `assistant-message`.
 * @csspart user-bubble - The text of a person's message.
 * @csspart answer - The rendered text of an answer.
 * @csspart code-block - A code block in an answer, with its head.
 * @csspart message-footer - The controls and figures under an answer.
 * @csspart figures - Tokens, speed and time of an answer.
 * @csspart copy-button - Copies a message.
 * @csspart regenerate-button - Answers the last question again.
 * @csspart suggestion - A suggestion of the attribute `suggestions`.
 * @csspart composer - The field and its button.
 * @csspart input - The field.
 * @csspart send-button - Sends the message.
 * @csspart stop-button - Stops the answer.
 * @csspart system-button - Shows and hides the system prompt.
 * @csspart system-input - The field of the system prompt.
 * @csspart clear-button - Clears the conversation.
 * @csspart notice - What a person should know about the model's answers.
 * @csspart progress - The card that shows the progress of loading.
 * @csspart progress-bar - The bar in it.
 * @csspart cancel-button - Cancels loading.
 * @csspart failure - The card that says what failed and what to do.
 * @csspart retry-button - Tries again.
 *
 * @cssprop --wp-color-accent - Buttons, focus and progress.
 * @cssprop --wp-color-on-accent - Text on the accent.
 * @cssprop --wp-color-surface - The background.
 * @cssprop --wp-color-raised - The background of what stands out a little.
 * @cssprop --wp-color-sunken - The background of fields and code.
 * @cssprop --wp-color-text - The text.
 * @cssprop --wp-color-quiet - Less important text.
 * @cssprop --wp-color-line - Borders.
 * @cssprop --wp-color-danger - Failures.
 * @cssprop --wp-font-family - The font.
 * @cssprop --wp-font-family-code - The font of code.
 * @cssprop --wp-font-size - The size of the text.
 * @cssprop --wp-radius - The radius of the corners.
 */
export class WpChat extends GenerationElement {
  static override styles = [tokens, controls, statusStyles, prose, messageStyles, chatStyles];

  /** The id of the element whose model this chat uses. Without `src` and `for`, the `<wp-model>` around it. */
  @property() for = '';

  /** The system prompt: what the model is told before the conversation. */
  @property() system = '';

  /** Offers a panel in which the system prompt can be changed. */
  @property({ type: Boolean, attribute: 'show-system' }) showSystem = false;

  /** The text in the empty field. */
  @property() placeholder = 'Write a message';

  /** The name of the chat for screen readers. */
  @property() label = 'Chat';

  /** What to ask, offered while the conversation is empty: separated by `|` in the attribute. */
  @property({ converter: listAttribute }) suggestions: readonly string[] = [];

  /** `light`, `dark`, or (absent) what the person's system prefers. */
  @property({ reflect: true }) theme: 'light' | 'dark' | undefined;

  @state() private draft = '';
  @state() private isSystemOpen = false;

  @query('.composer textarea') private readonly input!: HTMLTextAreaElement | null;
  @query('.log') private readonly log!: HTMLElement;
  @query('.log-content') private readonly logContent!: HTMLElement;
  @query('.announcer') private readonly liveRegion!: HTMLElement | null;

  readonly #announcer = new Announcer(() => this.liveRegion);
  readonly #autoScroll = new AutoScroll(() => this.requestUpdate());
  readonly #engine = new ChatEngine({
    loadModel: () => this.load(),
    systemPrompt: () => this.system,
    generationOptions: () => this.generationOptions(),
    changed: () => this.#turnsChanged(),
    answerStarted: () => {
      this.#autoScroll.follow();
      this.#announcer.startAnswer();
    },
    partArrived: (turn, text) => this.#partArrived(turn, text),
    messageStands: (detail) => this.#messageStands(detail),
    answerFailed: (error) => {
      if (error !== this.session?.error) emit(this, 'wp-error', { error }); // else the model's owner has said it
    },
  });
  readonly #reference: ModelReference = new ModelReference(this, {
    own: () => (this.src ? this.owner.session : undefined),
    isPresenter: true,
    onChange: () => this.#announceStatus(),
  });
  /** Grows when turns come, go or change: what the log shows is rendered again only then. */
  #revision = 0;
  #frame = 0;
  #announcedStatus: ModelStatus = 'idle';

  override connectedCallback(): void {
    super.connectedCallback();
    this.addEventListener('keydown', this.#onKeydown);
    if (this.hasUpdated) this.#autoScroll.attach(this.log, this.logContent);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.removeEventListener('keydown', this.#onKeydown);
    this.#autoScroll.detach();
    queueMicrotask(() => {
      if (!this.isConnected) this.stop(); // a move within the document does not end the answer
    });
  }

  /** The session of the model in use, whoever owns it. */
  get session(): ModelSession | undefined {
    return this.#reference.session;
  }

  /** `generating` while this chat answers; otherwise the state of its model. Reflected as the attribute `state`. */
  get state(): ModelStatus {
    if (this.#engine.answeringTurn?.outcome.status === 'streaming') return 'generating';
    const status = this.session?.status ?? 'idle';
    return status === 'generating' ? 'ready' : status;
  }

  /** The loaded model, or undefined. */
  get model(): Model | undefined {
    return this.session?.model;
  }

  /** The conversation. Setting it replaces it and stops the answer; a system message becomes `system`. */
  get messages(): ChatMessage[] {
    return this.#engine.conversation.messages();
  }

  set messages(messages: readonly ChatMessage[]) {
    const system = this.#engine.replace(messages);
    if (system) this.system = system;
    this.#autoScroll.follow();
  }

  /** Resolves to the model, loading it if need be. */
  async load(): Promise<Model> {
    await this.updateComplete; // attributes that were set in this same task
    if (!this.session) throw noModelError(this.for);
    return this.session.load();
  }

  /** Sends a message, or what is in the field; resolves when the answer is complete, stopped or failed. */
  async send(text?: string): Promise<void> {
    if (this.#engine.answeringTurn) return;
    const content = text ?? this.draft;
    if (text === undefined) this.draft = '';
    await this.#engine.send(content);
  }

  /** Stops the answer; what has been written stays. */
  stop(): void {
    this.#engine.stop();
  }

  /** Answers the last question again; resolves when the answer is complete, stopped or failed. */
  regenerate(): Promise<void> {
    return this.#engine.regenerate();
  }

  /** Forgets the conversation, and stops the answer. */
  clear(): void {
    this.#engine.clear();
    this.#autoScroll.follow();
    this.#announcer.say('Conversation cleared');
    emit(this, 'wp-clear', null);
  }

  /** Puts the focus into the field. */
  override focus(options?: FocusOptions): void {
    this.input?.focus(options);
  }

  protected override willUpdate(): void {
    this.setAttribute('state', this.state);
  }

  protected override firstUpdated(): void {
    loadMarkdown(); // it arrives while the model does
    this.#autoScroll.attach(this.log, this.logContent);
  }

  protected override updated(): void {
    const { input } = this;
    if (!input || CSS.supports('field-sizing', 'content')) return;
    input.style.blockSize = 'auto';
    input.style.blockSize = `${input.scrollHeight}px`;
  }

  protected override render(): TemplateResult {
    const turns = this.#engine.conversation.turns;
    const { info } = this.model ?? {};
    const name = this.session ? nameOfSource(this.session.config.src) : 'No model';
    return html`
      <section class="base" part="base" aria-label=${this.label}>
        ${headerView(
          {
            name,
            info,
            statusText: STATUS_TEXTS[this.state],
            hasTurns: turns.length > 0,
            showSystem: this.showSystem,
            isSystemOpen: this.isSystemOpen,
          },
          {
            toggleSystem: () => (this.isSystemOpen = !this.isSystemOpen),
            clear: () => {
              this.clear();
              this.focus();
            },
          },
        )}
        ${this.showSystem ? systemView(this.system, this.isSystemOpen, (text) => (this.system = text)) : nothing}
        <div class="log" part="log" role="log" aria-live="off" aria-label="Conversation" tabindex="0">
          <div class="log-content" @wp-turn-action=${this.#onTurnAction}>
            ${
              turns.length === 0
                ? emptyView(this.suggestions, (text) => this.#sendFromControl(text))
                : this.#renderTurns(turns)
            }
          </div>
        </div>
        <div class="dock">
          ${this.#autoScroll.isFollowing ? nothing : this.#renderJump()} ${this.#renderStatus()}
          ${composerView(
            {
              placeholder: this.placeholder,
              draft: this.draft,
              isGenerating: this.#engine.answeringTurn !== undefined,
            },
            {
              input: (text) => (this.draft = text),
              send: () => void this.send(),
              stop: () => this.#stopFromControl(),
              focus: () => this.#loadOnFirstUse(),
            },
          )}
          <p class="notice" part="notice">${info?.notice ?? ''}</p>
        </div>
        <div class="visually-hidden announcer" role="status" aria-live="polite"></div>
      </section>
    `;
  }

  #renderTurns(turns: readonly Turn[]): unknown {
    const waitingFor = this.#waitingFor();
    return guard([this.#revision, waitingFor], () =>
      repeat(
        turns,
        (turn) => turn.id,
        (turn, index) => html`
          <wp-message
            .turn=${turn}
            .outcome=${turn.outcome}
            .isLast=${index === turns.length - 1}
            .waitingFor=${waitingFor}
          ></wp-message>
        `,
      ),
    );
  }

  #waitingFor(): string {
    if (this.#engine.answeringTurn?.outcome.status !== 'waiting') return '';
    return this.session?.status === 'loading' ? 'The answer begins when the model is loaded' : '';
  }

  #renderJump(): TemplateResult {
    return html`
      <div class="latest">
        <button
          type="button"
          @click=${() => {
            this.#autoScroll.follow();
            this.log.focus({ preventScroll: true });
          }}
        >
          ${icons.down} To the latest
        </button>
      </div>
    `;
  }

  #renderStatus(): TemplateResult | typeof nothing {
    const { session } = this;
    if (!session) return failureView(noModelError(this.for), undefined);
    const { state } = session;
    const name = nameOfSource(session.config.src);
    if (state.status === 'loading') return progressView(name, state.progress, () => this.#cancelLoad());
    if (state.status === 'failed') {
      const last = this.#engine.conversation.turns.at(-1)?.outcome;
      const isShownThere = last?.status === 'failed' && last.error === state.error;
      return isShownThere ? nothing : failureView(state.error, () => this.#retryLoad());
    }
    if (state.status === 'idle' && session.config.src) return idleView(name, () => this.#retryLoad());
    return nothing;
  }

  #turnsChanged(): void {
    this.#revision++;
    if (!this.#engine.answeringTurn) {
      cancelAnimationFrame(this.#frame);
      this.#frame = 0;
    }
    this.requestUpdate();
  }

  /** Text is shown at most once a frame, and only the turn that grows is rendered. */
  #partArrived(turn: Turn, text: string): void {
    emit(this, 'wp-part', { text });
    if (this.#frame) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      const last = this.log.querySelector<MessageElement>('wp-message:last-of-type');
      if (last?.turn === turn) {
        last.requestUpdate();
        void last.updateComplete.then(() => this.#autoScroll.keep());
      }
      this.#announcer.follow(turn.content, false);
    });
  }

  #messageStands(detail: MessageDetail): void {
    if (detail.message.role === 'assistant') {
      this.#announcer.follow(detail.message.content, true);
      if (detail.finishReason === 'abort') this.#announcer.say('Stopped');
    }
    emit(this, 'wp-message', detail);
  }

  #announceStatus(): void {
    const { status } = this.session ?? { status: 'idle' as const };
    const previous = this.#announcedStatus;
    if (status === previous) return;
    this.#announcedStatus = status;
    if (status === 'loading') this.#announcer.say(`Loading ${nameOfSource(this.session?.config.src)}`);
    else if (status === 'ready' && previous === 'loading') this.#announcer.say('The model is ready');
  }

  #loadOnFirstUse(): void {
    if (this.session?.status === 'idle' && this.session.isUntouched) {
      this.session.load().catch(ignoreReportedFailure);
    }
  }

  #retryLoad(): void {
    this.session?.load().catch(ignoreReportedFailure);
    this.focus(); // the button goes away
  }

  #cancelLoad(): void {
    this.stop();
    this.session?.cancel();
    this.focus();
  }

  #sendFromControl(text: string): void {
    void this.send(text);
    this.focus();
  }

  #stopFromControl(): void {
    this.stop();
    this.focus();
  }

  readonly #onTurnAction = (event: CustomEvent<TurnAction>): void => {
    event.stopPropagation();
    if (event.detail.action === 'announce') {
      this.#announcer.say(event.detail.line);
      return;
    }
    void this.regenerate();
    this.focus();
  };

  readonly #onKeydown = (event: KeyboardEvent): void => {
    if (event.key !== 'Escape' || !this.#engine.answeringTurn) return;
    event.stopPropagation();
    this.#stopFromControl();
  };
}

declare global {
  interface HTMLElementTagNameMap {
    'wp-chat': WpChat;
  }
}
