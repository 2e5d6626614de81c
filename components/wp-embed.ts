import { html, nothing, type TemplateResult } from 'lit';
import { property, query, state } from 'lit/decorators.js';
import {
  WpError,
  isAbortError,
  type Embeddings,
  type EmbedOptions,
  type Model,
  type SearchHit,
} from '../runtime/index.ts';
import { emit } from './events.ts';
import { Announcer } from './internal/announcer.ts';
import { listAttribute, numberAttribute } from './internal/attributes.ts';
import { nameOfSource } from './internal/format.ts';
import { failureView, idleView, progressView } from './internal/status-view.ts';
import { indexPlace } from './internal/index-place.ts';
import { VectorIndex } from './internal/vector-index.ts';
import { WordHighlight } from './internal/word-highlight.ts';
import { ignoreReportedFailure } from './model-owner.ts';
import { ModelReference } from './model-reference.ts';
import type { ModelSession } from './model-session.ts';
import { ModelSourceElement } from './model-source-element.ts';
import { controls } from './styles/controls.ts';
import { embedStyles } from './styles/embed.ts';
import { statusStyles } from './styles/status.ts';
import { tokens } from './styles/tokens.ts';

/** A result of a search: an element that stands inside <wp-embed search>. */
export interface SearchResult {
  item: HTMLElement;
  /** The cosine of query and item, −1 to 1. */
  score: number;
}

const SEARCH_DELAY_MS = 150;

/**
 * Texts to vectors, by a text encoder that runs in this page; with `search`, a search by meaning over the elements inside it.
 * Their vectors are kept in IndexedDB: the next visit embeds only what is new.
 *
 * @summary Vectors of texts, and search by meaning, on this device.
 * @element wp-embed
 *
 * @slot - With `search`: the items, one element each.
 *
 * @fires {CustomEvent<{ texts: readonly string[]; embeddings: Embeddings }>} wp-vectors - The vectors of `texts` are there.
 * @fires {CustomEvent<{ query: string; results: readonly SearchResult[] }>} wp-results - A search has found its results.
 * @fires {CustomEvent<SearchResult>} wp-select - A result was clicked, or chosen by Enter.
 * @fires {CustomEvent<StateDetail>} wp-state - With a `src`: the state of the model changed.
 * @fires {CustomEvent<LoadProgress>} wp-progress - With a `src`: bytes arrived, or loading entered its next phase.
 * @fires {CustomEvent<{ model: Model }>} wp-ready - With a `src`: the model can be used.
 * @fires {CustomEvent<{ error: WpError }>} wp-error - Loading, embedding or searching failed.
 *
 * @csspart base - The whole element.
 * @csspart input - The field.
 * @csspart summary - The line that tells how many items were found.
 * @csspart results - The list of results.
 * @csspart result - A result.
 * @csspart score - Its score.
 * @csspart progress - The card that shows the progress of loading.
 * @csspart progress-bar - The bar in it.
 * @csspart cancel-button - Cancels loading.
 * @csspart failure - The card that says what failed and what to do.
 * @csspart retry-button - Tries again.
 *
 * @cssprop --wp-color-accent - Focus, scores and progress.
 * @cssprop --wp-color-surface - The background.
 * @cssprop --wp-color-raised - The background of results.
 * @cssprop --wp-color-sunken - The background of the field.
 * @cssprop --wp-color-text - The text.
 * @cssprop --wp-color-quiet - Less important text.
 * @cssprop --wp-color-line - Borders.
 * @cssprop --wp-font-family - The font.
 * @cssprop --wp-font-size - The size of the text.
 * @cssprop --wp-radius - The radius of the corners.
 */
export class WpEmbed extends ModelSourceElement {
  static override styles = [tokens, controls, statusStyles, embedStyles];

  /** The id of the element whose model is used. Without `src` and `for`, the `<wp-model>` around it. */
  @property() for = '';

  /** A field that searches the elements inside by meaning. */
  @property({ type: Boolean, reflect: true }) search = false;

  /** What is to become vectors: separated by `|` in the attribute. `wp-vectors` tells when they are there. */
  @property({ converter: listAttribute }) texts: readonly string[] = [];

  /** The first so many numbers of each vector, for models trained for it. */
  @property({ converter: numberAttribute }) dimensions: number | undefined;

  /** The most results of a search. */
  @property({ attribute: 'max-results', converter: numberAttribute }) maxResults: number | undefined = 10;

  /** The least score of a result, −1 to 1. */
  @property({ converter: numberAttribute }) threshold: number | undefined;

  /** Changed by the page, it makes the stored vectors anew: for a model that has changed under the same address. */
  @property({ attribute: 'refresh-key' }) refreshKey = '';

  /** The text in the empty field. */
  @property() placeholder = 'Search by meaning';

  /** The name for screen readers. */
  @property() label = 'Search';

  /** `light`, `dark`, or (absent) what the person's system prefers. */
  @property({ reflect: true }) theme: 'light' | 'dark' | undefined;

  @state() private hits: readonly (SearchResult & { index: number })[] | undefined;
  @state() private indexed = 0;
  @state() private failure: WpError | undefined;
  @state() private current: Embeddings | undefined;

  @query('input') private readonly input!: HTMLInputElement | null;
  @query('.announcer') private readonly liveRegion!: HTMLElement | null;

  readonly #announcer = new Announcer(() => this.liveRegion);
  readonly #reference: ModelReference = new ModelReference(this, {
    own: () => (this.src ? this.owner.session : undefined),
    isPresenter: true,
    onChange: () => this.#modelChanged(),
  });
  readonly #index = new VectorIndex();
  readonly #highlight = new WordHighlight();
  #children: MutationObserver | undefined;
  #query = '';
  #timer = 0;
  #work = new AbortController();
  #model: Model | undefined;

  override connectedCallback(): void {
    super.connectedCallback();
    this.#children ??= new MutationObserver(() => this.#refresh());
    this.#children.observe(this, { childList: true, characterData: true, subtree: true });
    this.#refresh();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#children?.disconnect();
    this.#work.abort();
    this.#index.release();
    this.#highlight.clear();
    clearTimeout(this.#timer);
  }

  /** The session of the model in use, whoever owns it. */
  get session(): ModelSession | undefined {
    return this.#reference.session;
  }

  /** The loaded model, or undefined. */
  get model(): Model | undefined {
    return this.session?.model;
  }

  /** The vectors of `texts`, or undefined until they are there. */
  get embeddings(): Embeddings | undefined {
    return this.current;
  }

  /** The results of the last search; undefined while there is no query. */
  get results(): readonly SearchResult[] | undefined {
    return this.hits?.map(({ item, score }) => ({ item, score }));
  }

  /** The query in the field; setting it searches. */
  get query(): string {
    return this.#query;
  }

  set query(text: string) {
    this.#query = text;
    this.requestUpdate();
    this.#refresh();
  }

  /** Vectors of any texts; loads the model if need be. */
  async embed(texts: string | readonly string[], options: EmbedOptions = {}): Promise<Embeddings> {
    await this.updateComplete; // attributes that were set in this same task
    if (!this.session) throw missingModel(this.for);
    const model = await this.session.load();
    return model.embed(texts, { dimensions: this.dimensions, ...options });
  }

  /** Puts the focus into the field. */
  override focus(options?: FocusOptions): void {
    this.input?.focus(options);
  }

  protected override willUpdate(changed: Map<string, unknown>): void {
    if (['texts', 'search', 'dimensions', 'maxResults', 'threshold', 'refreshKey'].some((name) => changed.has(name)))
      this.#refresh();
  }

  protected override render(): TemplateResult {
    return html`
      <section class="base" part="base" aria-label=${this.label}>
        ${this.search ? this.#renderField() : nothing} ${this.#renderStatus()}
        ${this.search && this.hits ? this.#renderResults(this.hits) : html`<div class="items"><slot></slot></div>`}
        <div class="visually-hidden announcer" role="status" aria-live="polite"></div>
      </section>
    `;
  }

  #renderField(): TemplateResult {
    return html`
      <form class="search" role="search" @submit=${(event: Event) => event.preventDefault()}>
        <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true">
          <circle cx="10.5" cy="10.5" r="6.5" />
          <path d="m15.5 15.5 5 5" stroke-linecap="round" />
        </svg>
        <input
          type="search"
          part="input"
          dir="auto"
          autocomplete="off"
          aria-label=${this.label}
          placeholder=${this.placeholder}
          .value=${this.#query}
          @input=${(event: InputEvent) => this.#typed((event.target as HTMLInputElement).value)}
          @focus=${() => this.#loadOnFirstUse()}
          @keydown=${(event: KeyboardEvent) => this.#moved(event, -1)}
        />
      </form>
    `;
  }

  #renderResults(hits: readonly (SearchResult & { index: number })[]): TemplateResult {
    return html`
      <p class="summary" part="summary">${this.#summary(hits.length)}</p>
      <ul class="results" part="results" aria-label="Results">
        ${hits.map(
          (hit, place) => html`
            <li
              class="result"
              part="result"
              tabindex="-1"
              @click=${() => emit(this, 'wp-select', { item: hit.item, score: hit.score })}
              @keydown=${(event: KeyboardEvent) => this.#moved(event, place)}
            >
              <div class="item"><slot name=${`wp-result-${place}`}></slot></div>
              <div class="score" part="score">
                ${hit.score.toFixed(2)}
                <span><span .style=${`inline-size: ${Math.round(100 * Math.max(0, hit.score))}%`}></span></span>
              </div>
            </li>
          `,
        )}
      </ul>
    `;
  }

  #summary(found: number): string {
    const items = `${this.indexed} ${this.indexed === 1 ? 'item' : 'items'}`;
    const { storeFailure } = this.#index;
    const unkept = storeFailure ? ` They cannot be kept for the next visit (${storeFailure}).` : '';
    return `${found === 0 ? `None of ${items} is near this.` : `${found} of ${items}, nearest first.`}${unkept}`;
  }

  #renderStatus(): TemplateResult | typeof nothing {
    const { session } = this;
    if (!session) return failureView(missingModel(this.for), undefined);
    const { state: loading } = session;
    const name = nameOfSource(session.config.src);
    const load = () => void session.load().catch(ignoreReportedFailure);
    if (loading.status === 'loading') return progressView(name, loading.progress, () => session.cancel());
    if (loading.status === 'failed') return failureView(loading.error, load);
    if (this.failure) return failureView(this.failure, () => this.#refresh());
    if (loading.status === 'idle' && session.config.src) return idleView(name, load);
    return nothing;
  }

  #modelChanged(): void {
    if (this.model === this.#model) return;
    this.#model = this.model;
    this.#refresh();
  }

  #loadOnFirstUse(): void {
    if (this.session?.status === 'idle' && this.session.isUntouched) this.session.load().catch(ignoreReportedFailure);
  }

  #typed(text: string): void {
    this.#query = text;
    this.#loadOnFirstUse();
    this.#refresh(SEARCH_DELAY_MS);
  }

  /** Embeds what is new and searches, after what changes in this task has changed; a later call takes its place. */
  #refresh(delayMs = 0): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#work.abort();
      this.#work = new AbortController();
      const { signal } = this.#work;
      this.#run(signal).catch((thrown: unknown) => {
        if (signal.aborted || isAbortError(thrown)) return;
        this.failure = WpError.from(thrown);
        emit(this, 'wp-error', { error: this.failure });
      });
    }, delayMs) as unknown as number;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { model } = this;
    if (!this.isConnected || !model) return;
    this.failure = undefined;
    if (this.search) await this.#search(model, signal);
    if (this.texts.length > 0) await this.#embedTexts(model, signal);
  }

  async #embedTexts(model: Model, signal: AbortSignal): Promise<void> {
    const { texts, dimensions } = this;
    const embeddings = await model.embed(texts, { dimensions, signal });
    signal.throwIfAborted();
    this.current = embeddings;
    emit(this, 'wp-vectors', { texts, embeddings });
  }

  async #search(model: Model, signal: AbortSignal): Promise<void> {
    const items = [...this.children].filter((child) => child instanceof HTMLElement);
    const { dimensions } = this;
    const prompts = model.info.encoder?.prompts ?? {};
    // Models that were trained with prompts have one for what is looked for and one for what is found.
    const promptFor = (name: string) => (Object.hasOwn(prompts, name) ? { promptName: name } : {});
    const embed = async (texts: readonly string[], kind: string) =>
      (await model.embed(texts, { dimensions, normalize: true, signal, ...promptFor(kind) })).vectors;
    const texts = items.map((item) => item.textContent.trim());
    const place = indexPlace(this, model.info, [dimensions, this.refreshKey]);
    await this.#index.update(texts, place, (missing) => embed(missing, 'document'), signal);
    this.indexed = this.#index.size;
    const text = this.#query.trim();
    if (text === '') {
      this.#show(items, undefined);
      return;
    }
    const [vector] = await embed([text], 'query');
    signal.throwIfAborted();
    const found = await this.#index.search(vector!, this.maxResults ?? 10, this.threshold ?? -1, signal);
    signal.throwIfAborted();
    this.#show(items, found);
    this.#highlight.show(
      text,
      found.map(({ index }) => items[index]!),
    );
    this.#announcer.say(this.#summary(found.length));
    emit(this, 'wp-results', { query: text, results: this.results! });
  }

  /** Results are shown in their order by their slots: the page's own nodes stay where they are. */
  #show(items: readonly HTMLElement[], found: readonly SearchHit[] | undefined): void {
    if (!found) this.#highlight.clear();
    const places = new Map(found?.map(({ index }, place) => [index, place]));
    items.forEach((item, index) => {
      if (!found) item.removeAttribute('slot');
      else item.slot = places.has(index) ? `wp-result-${places.get(index)}` : 'wp-rest';
    });
    this.hits = found?.map((hit) => ({ ...hit, item: items[hit.index]! }));
  }

  #moved(event: KeyboardEvent, place: number): void {
    const results = [...(this.shadowRoot?.querySelectorAll<HTMLElement>('.result') ?? [])];
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      const next = place + (event.key === 'ArrowDown' ? 1 : -1);
      event.preventDefault();
      if (next < 0) this.focus();
      else results[Math.min(next, results.length - 1)]?.focus();
    } else if (event.key === 'Escape' && place >= 0) {
      this.focus();
    } else if (event.key === 'Enter' && place >= 0) {
      const hit = this.hits?.[place];
      if (!hit || event.target !== results[place]) return; // a link inside has the focus: it is followed
      event.preventDefault();
      emit(this, 'wp-select', { item: hit.item, score: hit.score });
    }
  }
}

function missingModel(id: string): WpError {
  return new WpError(
    'invalid-source',
    id
      ? `No element with the id "${id}" has a model.`
      : '<wp-embed> needs a text encoder, and none is embedded in this version.',
    id
      ? 'Check the attribute for.'
      : 'Give it a src: src="sentence-transformers/all-MiniLM-L6-v2", or the address of such a folder; or put it inside a <wp-model>.',
  );
}

declare global {
  interface HTMLElementTagNameMap {
    'wp-embed': WpEmbed;
  }
}
