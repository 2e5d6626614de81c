// What <wp-vision> shows besides the image: the invitation, the buttons, the labels, the scores, and what failed.

import { html, nothing, type TemplateResult } from 'lit';
import { WpError, type Classification, type WpErrorCode } from '../../runtime/index.ts';
import { formatScore, type VisionTask } from './ask-vision.ts';
import { failureView } from './status-view.ts';

export const invitation = html`
  <div class="invitation">
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.5" aria-hidden="true">
      <rect x="3.5" y="4.5" width="17" height="15" rx="3" />
      <circle cx="9" cy="10" r="1.6" />
      <path d="m4 17 5-4 3.5 2.8L16 12l4.5 4" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
    <p>Drop an image here, or paste one</p>
    <p class="quiet-text">It stays on this device.</p>
  </div>
`;

export interface VisionActions {
  choose: () => void;
  /** Undefined where there is none. */
  camera: 'on' | 'off' | undefined;
  switchCamera: () => void;
  /** Undefined while there is nothing to compare others with. */
  compare: (() => void) | undefined;
}

export function actionsView({ choose, camera, switchCamera, compare }: VisionActions): TemplateResult {
  const button = (text: string, onClick: () => void) =>
    html`<button type="button" class="button" @click=${onClick}>${text}</button>`;
  return html`
    <div class="actions" part="actions">
      ${button('Choose an image', choose)}
      ${camera ? button(camera === 'on' ? 'Stop the camera' : 'Use the camera', switchCamera) : nothing}
      ${compare ? button('Compare others with this', compare) : nothing}
    </div>
  `;
}

export const referenceView = (forget: () => void): TemplateResult => html`
  <div class="reference">
    <canvas class="other" role="img" aria-label="The image that it is compared with"></canvas>
    <p class="quiet-text">Compared with this image</p>
    <button type="button" class="button" @click=${forget}>Forget it</button>
  </div>
`;

/** Bars of 0 to 1, with their labels and figures. */
export function scoresView(scores: readonly Classification[], task: VisionTask, isStale: boolean): TemplateResult {
  return html`
    <ol class="scores ${isStale ? 'stale' : ''}" part="scores" aria-label="Scores">
      ${scores.map(
        ({ label, score }) => html`
          <li class="score" part="score">
            <span class="label" dir="auto">${label}</span>
            <span class="value">${formatScore(task, score)}</span>
            <span class="track"><span .style=${`inline-size: ${percentOf(score)}%`}></span></span>
          </li>
        `,
      )}
    </ol>
  `;
}

const percentOf = (score: number): string => (100 * Math.min(1, Math.max(0, score))).toFixed(1);

/** Labels as a person writes them: with commas between them, or with `|` where a label has a comma in it. */
export function labelsField(
  name: string,
  labels: readonly string[],
  onChange: (labels: readonly string[]) => void,
): TemplateResult {
  const separator = labels.some((label) => label.includes(',')) ? ' | ' : ', ';
  const read = (event: Event): void => {
    const { value } = event.target as HTMLInputElement;
    const written = value.split(value.includes('|') ? '|' : ',');
    onChange(written.map((label) => label.trim()).filter(Boolean));
  };
  return html`
    <label class="field">
      <span>${name}</span>
      <input
        part="labels"
        type="text"
        dir="auto"
        autocomplete="off"
        placeholder="a cat, a dog, a boat"
        .value=${labels.join(separator)}
        @change=${read}
      />
      ${labels.length === 0 ? html`<span class="quiet-text">A few words each, with commas between them.</span>` : nothing}
    </label>
  `;
}

/** Whose failure it is decides what the codes mean. */
export type FailedPart = 'image' | 'camera' | 'answer';

const TITLES: Record<FailedPart, Partial<Record<WpErrorCode, string>>> = {
  image: {
    'not-found': 'The image was not found',
    network: 'The image could not be fetched',
    'unsupported-format': 'This is no image that can be read',
    'invalid-argument': 'This image cannot be used',
  },
  camera: { 'backend-unavailable': 'The camera cannot be used' },
  answer: {
    'unsupported-operation': 'This model cannot do that',
    'invalid-argument': 'The model cannot use this',
    'unsupported-format': 'The model cannot read this image',
  },
};

export const visionFailureView = (error: WpError, part: FailedPart, onRetry: () => void): TemplateResult =>
  failureView(error, onRetry, TITLES[part][error.code]);

export function missingModel(id: string): WpError {
  return new WpError(
    'invalid-source',
    id
      ? `No element with the id "${id}" has a model.`
      : '<wp-vision> needs a model that reads images, and none is embedded in this version.',
    id
      ? 'Check the attribute for.'
      : 'Give it a src: src="google/vit-base-patch16-224", or "google/siglip-base-patch16-224" with task="zero-shot"; or put it inside a <wp-model>.',
  );
}
