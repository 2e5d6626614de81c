import { html, nothing, type TemplateResult } from 'lit';
import { property, query, state } from 'lit/decorators.js';
import { WpError, type Classification, type ImageSource, type Model } from '../runtime/index.ts';
import { emit } from './events.ts';
import { Announcer } from './internal/announcer.ts';
import { askVision, formatScore, type VisionTask } from './internal/ask-vision.ts';
import { listAttribute, numberAttribute, oneOf, textAttribute } from './internal/attributes.ts';
import { Camera } from './internal/camera.ts';
import { DrawnImage } from './internal/drawn-image.ts';
import { nameOfSource } from './internal/format.ts';
import { ImageIntake } from './internal/image-intake.ts';
import { failureView, idleView, progressView } from './internal/status-view.ts';
import {
  actionsView,
  invitation,
  labelsField,
  missingModel,
  referenceView,
  scoresView,
  visionFailureView,
  type FailedPart,
} from './internal/vision-view.ts';
import { ignoreReportedFailure } from './model-owner.ts';
import { ModelReference } from './model-reference.ts';
import type { ModelSession, ModelStatus } from './model-session.ts';
import { ModelSourceElement } from './model-source-element.ts';
import { controls } from './styles/controls.ts';
import { statusStyles } from './styles/status.ts';
import { tokens } from './styles/tokens.ts';
import { visionStyles } from './styles/vision.ts';

/** `busy` while it looks at an image or through the camera; otherwise the state of its model. */
export type VisionState = Exclude<ModelStatus, 'generating'> | 'busy';

/**
 * What an image shows, told by a model that runs in this page: classes, labels of one's own, or how alike two images are. Images
 * are dropped, pasted, chosen or taken by the camera, and never leave the device.
 *
 * @summary Looks at images, on this device.
 * @element wp-vision
 *
 * @fires {CustomEvent<{ image: ImageSource }>} wp-image - An image was dropped, pasted, chosen or taken.
 * @fires {CustomEvent<{ task: VisionTask; scores: readonly Classification[] }>} wp-scores - What the model says of the image.
 * @fires {CustomEvent<StateDetail>} wp-state - With a `src`: the state of the model changed.
 * @fires {CustomEvent<LoadProgress>} wp-progress - With a `src`: bytes arrived, or loading entered its next phase.
 * @fires {CustomEvent<{ model: Model }>} wp-ready - With a `src`: the model can be used.
 * @fires {CustomEvent<{ error: WpError }>} wp-error - Loading failed, or an image could not be read.
 *
 * @csspart base - The whole element.
 * @csspart stage - Where the image is shown, and dropped.
 * @csspart canvas - The image.
 * @csspart actions - The buttons.
 * @csspart labels - The field for labels.
 * @csspart scores - The list of scores.
 * @csspart score - A score.
 * @csspart progress - The card that shows the progress of loading.
 * @csspart progress-bar - The bar in it.
 * @csspart cancel-button - Cancels loading.
 * @csspart failure - The card that says what failed and what to do.
 * @csspart retry-button - Tries again.
 *
 * @cssprop --wp-color-accent - Focus, scores and progress.
 * @cssprop --wp-color-surface - The background.
 * @cssprop --wp-color-raised - The background of cards.
 * @cssprop --wp-color-sunken - The background of the stage and the field.
 * @cssprop --wp-color-text - The text.
 * @cssprop --wp-color-quiet - Less important text.
 * @cssprop --wp-color-line - Borders.
 * @cssprop --wp-font-family - The font.
 * @cssprop --wp-font-size - The size of the text.
 * @cssprop --wp-radius - The radius of the corners.
 */
export class WpVision extends ModelSourceElement {
  static override styles = [tokens, controls, statusStyles, visionStyles];

  /** The id of the element whose model is used. Without `src` and `for`, the `<wp-model>` around it. */
  @property() for = '';

  /**
   * `classify`: the model's own classes. `zero-shot`: the `labels`, by a model that reads texts too (CLIP, SigLIP). `similarity`:
   * how near the image is to `reference`, or to each of the `labels`.
   */
  @property({ converter: oneOf<VisionTask>('classify', 'zero-shot', 'similarity') }) task: VisionTask = 'classify';

  /** What the image is compared with: separated by `|` in the attribute. */
  @property({ converter: listAttribute }) labels: readonly string[] = [];

  /** The sentence that a label is put into, at `{}`; the default is "This is a photo of {}." */
  @property({ converter: textAttribute }) template: string | undefined;

  /** The image: an address, or (as a property) a Blob, pixels, an element that shows one. */
  @property({ converter: textAttribute }) image: ImageSource | undefined;

  /** For `similarity`: the other image. */
  @property({ converter: textAttribute }) reference: ImageSource | undefined;

  /** The most scores that are shown. */
  @property({ attribute: 'max-results', converter: numberAttribute }) maxResults: number | undefined = 5;

  /** The name for screen readers. */
  @property() label = 'Image';

  /** `light`, `dark`, or (absent) what the person's system prefers. */
  @property({ reflect: true }) theme: 'light' | 'dark' | undefined;

  @state() private found: readonly Classification[] | undefined;
  @state() private failure: { error: WpError; part: FailedPart } | undefined;
  @state() private isBusy = false;
  /** The canvas shows the image. */
  @state() private isDrawn = false;

  @query('.picture') private readonly canvas!: HTMLCanvasElement;
  @query('.other') private readonly otherCanvas!: HTMLCanvasElement | null;
  @query('video') private readonly video!: HTMLVideoElement | null;
  @query('input[type=file]') private readonly chooser!: HTMLInputElement;
  @query('.announcer') private readonly liveRegion!: HTMLElement | null;

  readonly #announcer = new Announcer(() => this.liveRegion);
  readonly #camera = new Camera(this);
  readonly #intake = new ImageIntake(this, {
    take: (image) => this.#take(image),
    refuse: (error) => this.#failed(error, 'image'),
  });
  readonly #reference: ModelReference = new ModelReference(this, {
    own: () => (this.src ? this.owner.session : undefined),
    isPresenter: true,
    onChange: () => this.#modelChanged(),
  });
  readonly #drawn = new DrawnImage();
  readonly #otherDrawn = new DrawnImage();
  #model: Model | undefined;
  #work = new AbortController();
  /** What it is at. */
  #step: FailedPart = 'image';

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#work.abort();
  }

  /** The session of the model in use, whoever owns it. */
  get session(): ModelSession | undefined {
    return this.#reference.session;
  }

  /** The loaded model, or undefined. */
  get model(): Model | undefined {
    return this.session?.model;
  }

  /** `busy` while it looks at an image or through the camera; otherwise the state of its model. Reflected as the attribute `state`. */
  get state(): VisionState {
    const status = this.session?.status ?? 'idle';
    if (this.isBusy || status === 'generating') return 'busy';
    return this.failure && status === 'ready' ? 'failed' : status;
  }

  /** What the model said of the image, best first; undefined until it has. */
  get scores(): readonly Classification[] | undefined {
    return this.found;
  }

  /** Asks the person for the camera and looks at what it sees, until `stopCamera` or Escape; resolves then. */
  async startCamera(): Promise<void> {
    this.failure = undefined;
    try {
      await this.#camera.start();
    } catch (thrown) {
      this.#failed(thrown, 'camera');
      return;
    }
    await this.updateComplete;
    const { video } = this;
    if (!video || !this.#camera.stream) return;
    video.srcObject = this.#camera.stream;
    this.#loadOnFirstUse();
    await this.#watch(video);
  }

  /** The last picture stays. */
  stopCamera(): void {
    this.#camera.stop();
  }

  /** Puts the focus on the first button. */
  override focus(options?: FocusOptions): void {
    this.shadowRoot?.querySelector<HTMLElement>('.actions button')?.focus(options);
  }

  protected override willUpdate(changed: Map<string, unknown>): void {
    const isOther = changed.has('image');
    if (isOther) this.stopCamera();
    // Otherwise the camera's next frame is asked about with what has changed.
    else if (this.#camera.stream) return;
    if (isOther || ['task', 'labels', 'template', 'reference'].some((name) => changed.has(name))) void this.#refresh();
  }

  protected override updated(): void {
    this.setAttribute('state', this.state);
  }

  protected override render(): TemplateResult {
    const isLive = this.#camera.stream !== undefined;
    const isEmpty = !this.isDrawn && !isLive;
    const side = this.#renderSide(isLive);
    return html`
      <section
        class="base"
        part="base"
        aria-label=${this.label}
        @keydown=${({ key }: KeyboardEvent) => key === 'Escape' && this.stopCamera()}
      >
        ${this.#renderStatus()}
        <div class="columns ${side === nothing ? '' : 'has-side'}">
          <div class="side">
            <div
              class="stage ${isEmpty ? 'empty' : ''} ${this.#intake.isDraggedOver ? 'over' : ''}"
              part="stage"
              @click=${isEmpty ? () => this.chooser.click() : nothing}
              @dragover=${this.#intake.dragged}
              @dragleave=${this.#intake.dragged}
              @drop=${this.#intake.dropped}
            >
              <canvas
                class="picture"
                part="canvas"
                role="img"
                aria-label=${this.#description()}
                ?hidden=${!this.isDrawn || isLive}
              ></canvas>
              ${isLive ? html`<video muted playsinline aria-label="What the camera sees"></video><span class="live">Camera</span>` : nothing}
              ${isEmpty ? invitation : nothing}
            </div>
            ${this.#renderActions(isLive)}
          </div>
          ${side === nothing ? nothing : html`<div class="side">${side}</div>`}
        </div>
        <input type="file" accept="image/*" hidden aria-label="Image file" @change=${this.#intake.chosen} />
        <div class="visually-hidden announcer" role="status" aria-live="polite"></div>
      </section>
    `;
  }

  #renderActions(isLive: boolean): TemplateResult {
    return actionsView({
      choose: () => this.chooser.click(),
      camera: !Camera.exists ? undefined : isLive ? 'on' : 'off',
      switchCamera: () => (isLive ? this.stopCamera() : void this.startCamera()),
      compare: this.task === 'similarity' && this.isDrawn && !isLive ? () => (this.reference = this.image) : undefined,
    });
  }

  #renderSide(isLive: boolean): TemplateResult | typeof nothing {
    const { task, labels, isBusy, found } = this;
    const hasReference = task === 'similarity' && this.reference !== undefined;
    const relabel = (written: readonly string[]) => (this.labels = written);
    const parts = [
      task === 'zero-shot' ? labelsField('Labels', labels, relabel) : nothing,
      task === 'similarity' && !hasReference ? labelsField('Compare with', labels, relabel) : nothing,
      hasReference ? referenceView(() => (this.reference = undefined)) : nothing,
      isBusy && !found ? html`<p class="busy">Looking at the image</p>` : nothing,
      found ? scoresView(found.slice(0, this.maxResults ?? 5), task, isBusy && !isLive) : nothing,
    ].filter((part) => part !== nothing);
    return parts.length > 0 ? html`${parts}` : nothing;
  }

  #description(): string {
    const best = this.found?.[0];
    return best ? `The image: ${best.label}, ${formatScore(this.task, best.score)}` : 'The image';
  }

  #renderStatus(): TemplateResult | typeof nothing {
    const { session, failure } = this;
    if (!session) return failureView(missingModel(this.for), undefined);
    const { state: loading } = session;
    const name = nameOfSource(session.config.src);
    const load = () => void session.load().catch(ignoreReportedFailure);
    if (loading.status === 'loading') return progressView(name, loading.progress, () => session.cancel());
    if (loading.status === 'failed') return failureView(loading.error, load);
    if (failure) {
      const again = () => void (failure.part === 'camera' ? this.startCamera() : this.#refresh());
      return visionFailureView(failure.error, failure.part, again);
    }
    if (loading.status === 'idle' && session.config.src) return idleView(name, load);
    return nothing;
  }

  #modelChanged(): void {
    if (this.model === this.#model) return;
    this.#model = this.model;
    if (!this.#camera.stream) void this.#refresh();
  }

  #loadOnFirstUse(): void {
    if (this.session?.status === 'idle' && this.session.isUntouched) this.session.load().catch(ignoreReportedFailure);
  }

  /** An image that a person gave. */
  #take(image: ImageSource): void {
    this.image = image;
    emit(this, 'wp-image', { image });
    this.#loadOnFirstUse();
  }

  /** What was going on is given up. */
  #begin(step: FailedPart): AbortSignal {
    this.#work.abort();
    this.#work = new AbortController();
    this.#step = step;
    this.failure = undefined;
    return this.#work.signal;
  }

  /** Draws the image and asks the model; a later call takes its place. */
  async #refresh(): Promise<void> {
    const signal = this.#begin('image');
    const { image } = this;
    if (!this.isConnected || image === undefined) {
      this.found = undefined;
      this.isBusy = false;
      this.isDrawn &&= image !== undefined;
      return;
    }
    this.isBusy = this.model !== undefined;
    try {
      await this.updateComplete; // the canvases are there
      const picture = await this.#drawn.show(image, this.canvas, signal).catch((thrown: unknown) => {
        if (!signal.aborted) this.isDrawn = false;
        throw thrown;
      });
      this.isDrawn = true;
      this.#tell(await this.#ask(picture, signal));
    } catch (thrown) {
      if (signal.aborted) return;
      this.found = undefined;
      this.#failed(thrown);
    } finally {
      if (!signal.aborted) this.isBusy = false;
    }
  }

  /** Frame after frame while the camera runs; the last one stays as the image. */
  async #watch(video: HTMLVideoElement): Promise<void> {
    const signal = this.#begin('camera');
    let last: ImageBitmap | undefined;
    this.isBusy = true;
    try {
      await video.play();
      while (this.#camera.stream && !signal.aborted) {
        last?.close();
        last = await createImageBitmap(video);
        this.#tell(await this.#ask(last, signal), false);
        this.#step = 'camera';
        await new Promise(requestAnimationFrame);
      }
      if (last && !signal.aborted) {
        this.image = last;
        emit(this, 'wp-image', { image: last });
      }
    } catch (thrown) {
      const wasStopped = this.#step === 'camera' && !this.#camera.stream; // play() was cut short
      if (signal.aborted) return;
      this.stopCamera();
      if (!wasStopped) this.#failed(thrown);
    } finally {
      if (!signal.aborted) this.isBusy = false;
    }
  }

  async #ask(image: ImageSource, signal: AbortSignal): Promise<readonly Classification[]> {
    const { model, otherCanvas, task, labels, template } = this;
    let { reference } = this;
    this.#step = 'image';
    if (reference !== undefined && otherCanvas) reference = await this.#otherDrawn.show(reference, otherCanvas, signal);
    this.#step = 'answer';
    const scores = model ? await askVision(model, image, { task, labels, template, reference }, signal) : [];
    signal.throwIfAborted();
    return scores;
  }

  #tell(scores: readonly Classification[], aloud = true): void {
    this.found = scores.length > 0 ? scores : undefined;
    const best = scores[0];
    if (best && aloud) this.#announcer.say(`${best.label}, ${formatScore(this.task, best.score)}`);
    if (best) emit(this, 'wp-scores', { task: this.task, scores });
  }

  #failed(thrown: unknown, part = this.#step): void {
    const error = WpError.from(thrown);
    this.failure = { error, part };
    emit(this, 'wp-error', { error });
  }
}

declare global {
  interface HTMLElementTagNameMap {
    'wp-vision': WpVision;
  }
}
