import { ContextProvider } from '@lit/context';
import { html, css, LitElement, nothing, type TemplateResult } from 'lit';
import { property } from 'lit/decorators.js';
import type { BackendName, LoadProgress, Model, ModelSource, Precision, WpError } from '../runtime/index.ts';
import { numberAttribute, oneOf, textAttribute } from './internal/attributes.ts';
import { nameOfSource } from './internal/format.ts';
import { failureView, progressView } from './internal/status-view.ts';
import { announceProvider, modelContext } from './model-context.ts';
import { ModelOwner } from './model-owner.ts';
import type { ModelSession, ModelStatus } from './model-session.ts';
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
export class WpModel extends LitElement {
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

  static override get observedAttributes(): string[] {
    return [...super.observedAttributes, 'id']; // elements look for their model by its id
  }

  /**
   * The model: `wp:fable-25m`, a Hugging Face id, the address of a model, or (as a property) a URL or files. Changing
   * it disposes the model and loads the new one.
   */
  @property({ converter: textAttribute }) src: ModelSource | undefined;

  /** Bits of a weight on the device: `auto`, `4bit`, `8bit` or `f16`. */
  @property({ converter: oneOf<Precision>('auto', '4bit', '8bit', 'f16') }) precision: Precision = 'auto';

  /** What runs the model: `auto`, `webgpu` or `wasm`. */
  @property({ converter: oneOf<BackendName | 'auto'>('auto', 'webgpu', 'wasm') }) backend: BackendName | 'auto' =
    'auto';

  /** Tokens of context to make room for. */
  @property({ attribute: 'context-length', converter: numberAttribute }) contextLength: number | undefined;

  /** `eager` loads at once; `lazy` when the element comes into view or the model is first used. */
  @property({ converter: oneOf<'eager' | 'lazy'>('eager', 'lazy') }) loading: 'eager' | 'lazy' = 'eager';

  readonly #owner = new ModelOwner(this);

  constructor() {
    super();
    new ContextProvider(this, { context: modelContext, initialValue: this.#owner.session });
  }

  override connectedCallback(): void {
    super.connectedCallback();
    announceProvider();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    announceProvider();
  }

  override attributeChangedCallback(name: string, old: string | null, value: string | null): void {
    super.attributeChangedCallback(name, old, value);
    if (name === 'id' && this.isConnected) announceProvider();
  }

  /** Where the model is in its life. Reflected as the attribute `state`. */
  get state(): ModelStatus {
    return this.#owner.session.status;
  }

  /** The loaded model, or undefined. */
  get model(): Model | undefined {
    return this.#owner.session.model;
  }

  /** How far loading is; undefined when nothing loads. */
  get progress(): LoadProgress | undefined {
    return this.#owner.session.progress;
  }

  /** Why the state is `failed`; otherwise undefined. */
  get error(): WpError | undefined {
    return this.#owner.session.error;
  }

  /** The model's life as an object that other elements follow. */
  get session(): ModelSession {
    return this.#owner.session;
  }

  /** Resolves to the model, loading it if need be. Rejects with a WpError, or an AbortError after `cancel()`. */
  load(): Promise<Model> {
    return this.#owner.load();
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
    if (state.status === 'failed') return failureView(state.error, () => this.#owner.loadQuietly());
    return nothing;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    'wp-model': WpModel;
  }
}
