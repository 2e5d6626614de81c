import { ContextProvider } from '@lit/context';
import { css, html, nothing, type TemplateResult } from 'lit';
import { property } from 'lit/decorators.js';
import type { LoadProgress, Model, WpError } from '../runtime/index.ts';
import { nameOfSource } from './internal/format.ts';
import { failureView, progressView } from './internal/status-view.ts';
import { modelContext } from './model-context.ts';
import type { ModelSession, ModelStatus } from './model-session.ts';
import { ModelSourceElement } from './model-source-element.ts';
import { controls } from './styles/controls.ts';
import { statusStyles } from './styles/status.ts';
import { tokens } from './styles/tokens.ts';

/**
 * Owns a model: loads it, gives it to the elements inside it by context and to others by `for="id"`, and frees it when
 * it leaves the document.
 *
 * @summary A model that other elements share.
 * @element wp-model
 *
 * @slot - Elements that use the model, and any other content.
 *
 * @fires {CustomEvent<StateDetail>} wp-state - The state changed; `detail` has `state` and `previous`.
 * @fires {CustomEvent<LoadProgress>} wp-progress - Bytes arrived, or loading entered its next phase.
 * @fires {CustomEvent<{ model: Model }>} wp-ready - The model can be used.
 * @fires {CustomEvent<{ error: WpError }>} wp-error - Loading failed, or the model was lost.
 *
 * @csspart progress - The card that shows the progress of loading.
 * @csspart progress-bar - The bar in it.
 * @csspart cancel-button - The button that cancels loading.
 * @csspart failure - The card that says what failed and what to do.
 * @csspart retry-button - The button that tries again.
 *
 * @cssprop --wp-color-accent - The colour of the progress bar and of focus rings.
 * @cssprop --wp-font-family - The font of the status.
 * @cssprop --wp-radius - The radius of the corners.
 */
export class WpModel extends ModelSourceElement {
  static override styles = [
    tokens,
    controls,
    statusStyles,
    css`
      :host {
        display: block;
      }
      .status + slot {
        margin-block-start: 1rem;
      }
    `,
  ];

  /** `light`, `dark`, or (absent) what the person's system prefers. */
  @property({ reflect: true }) theme: 'light' | 'dark' | undefined;

  constructor() {
    super();
    new ContextProvider(this, { context: modelContext, initialValue: this.owner.session });
  }

  /** Where the model is in its life. Reflected as the attribute `state`. */
  get state(): ModelStatus {
    return this.owner.session.status;
  }

  /** The loaded model, or undefined. */
  get model(): Model | undefined {
    return this.owner.session.model;
  }

  /** How far loading is; undefined when nothing loads. */
  get progress(): LoadProgress | undefined {
    return this.owner.session.progress;
  }

  /** Why the state is `failed`; otherwise undefined. */
  get error(): WpError | undefined {
    return this.owner.session.error;
  }

  /** The model's life as an object that other elements follow. */
  get session(): ModelSession {
    return this.owner.session;
  }

  /** Resolves to the model, loading it if need be. Rejects with a WpError, or an AbortError after `cancel()`. */
  load(): Promise<Model> {
    return this.owner.load();
  }

  /** Cancels the load, or the answers in progress. */
  cancel(): void {
    this.session.cancel();
  }

  /** Disposes the model and loads it again. */
  reload(): Promise<Model> {
    return this.session.reload();
  }

  /** Frees the model; the state becomes `idle`. */
  dispose(): Promise<void> {
    return this.session.dispose();
  }

  protected override willUpdate(): void {
    this.setAttribute('state', this.state);
  }

  protected override render(): TemplateResult {
    return html`${this.#renderStatus()}<slot></slot>`;
  }

  #renderStatus(): TemplateResult | typeof nothing {
    const { session } = this;
    if (session.isPresented) return nothing;
    const { state } = session;
    if (state.status === 'loading') {
      return progressView(nameOfSource(this.src), state.progress, () => this.cancel());
    }
    if (state.status === 'failed') return failureView(state.error, () => this.owner.loadQuietly());
    return nothing;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    'wp-model': WpModel;
  }
}
