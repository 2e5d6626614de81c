// What <wp-model> and <wp-chat src> have in common: the attributes that name a model, and owning it.

import { LitElement } from 'lit';
import { property } from 'lit/decorators.js';
import type { BackendName, ModelSource, Precision, PrecisionName } from '../runtime/index.ts';
import { numberAttribute, oneOf, textAttribute } from './internal/attributes.ts';
import { announceProvider } from './model-context.ts';
import { ModelOwner } from './model-owner.ts';

export abstract class ModelSourceElement extends LitElement {
  static override get observedAttributes(): string[] {
    return [...super.observedAttributes, 'id']; // elements look for their model by its id
  }

  /**
   * The model: `wp:fable-25m`, a Hugging Face id, the address of a model, or (as a property) a URL or files. Changing
   * it disposes the model and loads the new one.
   */
  @property({ converter: textAttribute }) src: ModelSource | undefined;

  /**
   * Bits of a weight on the device: `auto`, `2bit`, `3bit`, `4bit`, `8bit` or `f16`. As a property also bits a role and a layer:
   * see `QuantizationOptions`.
   */
  @property({ converter: oneOf<PrecisionName>('auto', '2bit', '3bit', '4bit', '8bit', 'f16') }) precision: Precision =
    'auto';

  /** What runs the model: `auto`, `webgpu`, `webnn` (encoders) or `wasm`. */
  @property({ converter: oneOf<BackendName | 'auto'>('auto', 'webgpu', 'webnn', 'wasm') })
  backend: BackendName | 'auto' = 'auto';

  /** Tokens of context to make room for. */
  @property({ attribute: 'context-length', converter: numberAttribute }) contextLength: number | undefined;

  /** `eager` loads at once; `lazy` when the element comes into view or the model is first used. */
  @property({ converter: oneOf<'eager' | 'lazy'>('eager', 'lazy') }) loading: 'eager' | 'lazy' = 'eager';

  protected readonly owner = new ModelOwner(this);

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
}
