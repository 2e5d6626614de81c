import { html, LitElement, nothing, type TemplateResult } from 'lit';
import { property, state } from 'lit/decorators.js';
import type { MemoryReport, Model } from '../runtime/index.ts';
import { oneOf } from './internal/attributes.ts';
import { formatBytes, formatNumber } from './internal/format.ts';
import { MemoryWatch } from './internal/memory-watch.ts';
import { ModelReference } from './model-reference.ts';
import { controls } from './styles/controls.ts';
import { meterStyles } from './styles/meter.ts';
import { tokens } from './styles/tokens.ts';

type Share = 'weights' | 'keyValueCache' | 'activations' | 'other';

const SHARES: readonly { key: Share; name: string; styleClass: string }[] = [
  { key: 'weights', name: 'Weights', styleClass: 'weights' },
  { key: 'keyValueCache', name: 'KV cache', styleClass: 'cache' },
  { key: 'activations', name: 'Activations', styleClass: 'activations' },
  { key: 'other', name: 'Other', styleClass: 'other' },
];

/**
 * Shows the memory that a model takes on the device: weights, KV cache and activations, planned and actual, and how
 * full its context is. It is live while the model answers and asks for nothing while nobody sees it.
 *
 * @summary The memory of a model, live.
 * @element wp-memory-meter
 *
 * @csspart base - The whole meter.
 * @csspart label - Its title.
 * @csspart total - The bytes in all.
 * @csspart bar - The bar of the shares.
 * @csspart segment - A share in the bar; also `weights`, `cache`, `activations` or `other`.
 * @csspart table - The table of planned and actual bytes.
 * @csspart context - How full the context is.
 *
 * @cssprop --wp-color-weights - The colour of the weights.
 * @cssprop --wp-color-cache - The colour of the KV cache.
 * @cssprop --wp-color-activations - The colour of the activations.
 * @cssprop --wp-color-surface - The background.
 * @cssprop --wp-color-text - The text.
 * @cssprop --wp-color-quiet - Less important text.
 * @cssprop --wp-color-line - Borders.
 * @cssprop --wp-font-family - The font.
 * @cssprop --wp-font-size - The size of the text.
 * @cssprop --wp-radius - The radius of the corners.
 */
export class WpMemoryMeter extends LitElement {
  static override styles = [tokens, controls, meterStyles];

  /** The id of the element whose model is measured. Without it, the `<wp-model>` around this element. */
  @property() for = '';

  /** `full` with a table, or `compact`: one bar. */
  @property({ reflect: true, converter: oneOf<'full' | 'compact'>('full', 'compact') }) layout: 'full' | 'compact' =
    'full';

  /** The title. */
  @property() label = 'Memory';

  /** `light`, `dark`, or (absent) what the person's system prefers. */
  @property({ reflect: true }) theme: 'light' | 'dark' | undefined;

  @state() private latest: MemoryReport | undefined;
  @state() private measurementFailure = '';

  readonly #reference: ModelReference = new ModelReference(this, { onChange: () => this.#watch.sessionChanged() });
  readonly #watch: MemoryWatch = new MemoryWatch(this, {
    session: () => this.#reference.session,
    measured: (report) => {
      this.latest = report;
      this.measurementFailure = '';
    },
    failed: (error) => {
      this.measurementFailure = error.message;
    },
  });

  /** The last measurement, or undefined. */
  get report(): MemoryReport | undefined {
    return this.latest;
  }

  /** The model that is measured, or undefined. */
  get model(): Model | undefined {
    return this.#reference.session?.model;
  }

  protected override render(): TemplateResult {
    const { latest } = this;
    return html`
      <section class="base" part="base" aria-label=${this.label}>
        ${latest ? this.#renderReport(latest) : this.#renderNothing()}
      </section>
    `;
  }

  #renderNothing(): TemplateResult {
    const { session } = this.#reference;
    const planned = session?.model?.info.plan.memory.total;
    const text =
      this.measurementFailure ||
      (planned !== undefined ? `${formatBytes(planned)} planned; measuring.` : '') ||
      (session?.status === 'loading' ? 'The model is loading.' : 'No model is loaded.');
    return html`
      <div class="head"><span class="label" part="label">${this.label}</span></div>
      <p class="nothing">${text}</p>
    `;
  }

  #renderReport({ planned, actual, contextUsed, contextLength }: MemoryReport): TemplateResult {
    const scale = Math.max(planned.total, actual.total, 1);
    const summary = SHARES.filter(({ key }) => actual[key] > 0)
      .map(({ key, name }) => `${name} ${formatBytes(actual[key])}`)
      .join(', ');
    const isFull = this.layout === 'full';
    return html`
      <div class="head">
        <span class="label" part="label">${this.label}</span>
        <span class="total" part="total">
          <b>${formatBytes(actual.total)}</b> of ${formatBytes(planned.total)} planned
        </span>
      </div>
      <div
        class="track"
        part="bar"
        role="meter"
        aria-label="Memory in use"
        aria-valuemin="0"
        aria-valuemax=${scale}
        aria-valuenow=${actual.total}
        aria-valuetext=${`${formatBytes(actual.total)} of ${formatBytes(planned.total)} planned: ${summary}`}
      >
        ${SHARES.filter(({ key }) => actual[key] > 0).map(
          ({ key, name, styleClass }) => html`
            <span
              class="segment ${styleClass}"
              part="segment ${styleClass}"
              title=${`${name}: ${formatBytes(actual[key])}`}
              .style=${`flex-basis: ${(100 * actual[key]) / scale}%`}
            ></span>
          `,
        )}
      </div>
      ${isFull ? this.#renderTable(planned, actual) : nothing}
      ${isFull ? this.#renderContext(contextUsed, contextLength) : nothing}
    `;
  }

  #renderTable(planned: MemoryReport['planned'], actual: MemoryReport['actual']): TemplateResult {
    return html`
      <table part="table">
        <caption class="visually-hidden">
          Bytes of the model on this device
        </caption>
        <thead>
          <tr>
            <td></td>
            <th scope="col">Planned</th>
            <th scope="col">Actual</th>
          </tr>
        </thead>
        <tbody>
          ${SHARES.filter(({ key }) => key !== 'other' || actual.other > 0).map(
            ({ key, name, styleClass }) => html`
              <tr class=${styleClass}>
                <th scope="row">${name}</th>
                <td>${key === 'other' ? '–' : formatBytes(planned[key])}</td>
                <td>${formatBytes(actual[key])}</td>
              </tr>
            `,
          )}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">In all</th>
            <td>${formatBytes(planned.total)}</td>
            <td>${formatBytes(actual.total)}</td>
          </tr>
        </tfoot>
      </table>
    `;
  }

  #renderContext(used: number, length: number): TemplateResult {
    const text = `${formatNumber(used)} of ${formatNumber(length)} tokens`;
    return html`
      <div class="context" part="context">
        <div class="head">
          <span>Context</span>
          <span class="total">${text}</span>
        </div>
        <div
          class="track"
          role="meter"
          aria-label="Context in use"
          aria-valuemin="0"
          aria-valuemax=${length}
          aria-valuenow=${used}
          aria-valuetext=${text}
        >
          ${
            used > 0
              ? html`<span class="segment" .style=${`flex-basis: ${(100 * used) / Math.max(1, length)}%`}></span>`
              : nothing
          }
        </div>
      </div>
    `;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    'wp-memory-meter': WpMemoryMeter;
  }
}
