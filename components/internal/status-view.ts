// The progress of a load and the failure of one, as templates: <wp-model>, <wp-chat> show the same.

import { html, nothing, type TemplateResult } from 'lit';
import type { LoadProgress, WpError, WpErrorCode } from '../../runtime/index.ts';
import { formatBytes, formatDuration } from './format.ts';
import { icons } from './icons.ts';

const PHASES: Record<LoadProgress['phase'], string> = {
  resolving: 'Looking up',
  downloading: 'Loading',
  compiling: 'Preparing',
  ready: 'Ready:',
};

// Sizes are set through the property `style`: a style attribute would need 'unsafe-inline' in the page's policy.
export function progressView(name: string, progress: LoadProgress | undefined, onCancel: () => void): TemplateResult {
  const phase = progress?.phase ?? 'resolving';
  const share = shareOf(progress);
  const percent = share === undefined ? undefined : Math.round(share * 100);
  const figures = figuresOf(progress);
  return html`
    <div class="status" part="progress">
      <div class="status-text">
        <p class="status-title">
          <span>${PHASES[phase]} <b>${name}</b></span>
          ${percent === undefined ? nothing : html`<span class="percent">${percent} %</span>`}
        </p>
        <div
          class="bar ${percent === undefined ? 'indeterminate' : ''}"
          part="progress-bar"
          role="progressbar"
          aria-label=${`${PHASES[phase]} ${name}`}
          aria-valuemin="0"
          aria-valuemax="100"
          aria-valuenow=${percent ?? nothing}
          aria-valuetext=${figures || PHASES[phase]}
        >
          <span .style=${`inline-size: ${percent ?? 30}%`}></span>
        </div>
        <p class="status-detail">${figures || html`&nbsp;`}</p>
      </div>
      <button type="button" class="button quiet" part="cancel-button" @click=${onCancel}>Cancel</button>
    </div>
  `;
}

function shareOf(progress: LoadProgress | undefined): number | undefined {
  if (progress?.phase !== 'downloading' || !progress.totalBytes) return undefined;
  return Math.min(1, progress.loadedBytes / progress.totalBytes);
}

/** `4.2 MB of 12.1 MB · 3.1 MB/s · 3 s left`. */
export function figuresOf(progress: LoadProgress | undefined): string {
  if (!progress) return '';
  if (progress.phase === 'compiling') return 'Setting up the model for this device';
  if (progress.phase !== 'downloading') return '';
  const { loadedBytes, totalBytes, bytesPerSecond, secondsLeft, cachedBytes } = progress;
  const isFromStore = cachedBytes > 0 && cachedBytes >= loadedBytes;
  return [
    totalBytes ? `${formatBytes(loadedBytes)} of ${formatBytes(totalBytes)}` : formatBytes(loadedBytes),
    isFromStore ? 'from this device' : bytesPerSecond ? `${formatBytes(bytesPerSecond)}/s` : '',
    secondsLeft !== undefined && Number.isFinite(secondsLeft) && secondsLeft >= 0.5
      ? `${formatDuration(secondsLeft)} left`
      : '',
  ]
    .filter(Boolean)
    .join(' · ');
}

/** A model that waits to be loaded: after a cancelled load, or with loading="lazy". */
export function idleView(name: string, onLoad: () => void): TemplateResult {
  return html`
    <div class="status" part="progress">
      <div class="status-text">
        <p class="status-title">
          <span><b>${name}</b> is not loaded</span>
        </p>
        <p class="status-detail">It loads when you first use it.</p>
      </div>
      <button type="button" class="button" part="load-button" @click=${onLoad}>Load</button>
    </div>
  `;
}

/** What a person reads first; the error's own message and hint follow. */
const FAILURE_TITLES: Partial<Record<WpErrorCode, string>> = {
  'invalid-source': 'No model to load',
  'not-found': 'The model was not found',
  network: 'The download failed',
  'not-a-model': 'This address holds no model',
  'corrupt-file': 'The model’s file is damaged',
  'missing-tensor': 'The model is incomplete',
  'missing-tokenizer': 'The model is incomplete',
  'unsupported-architecture': 'This kind of model is not supported',
  'unsupported-config': 'This kind of model is not supported',
  'unsupported-format': 'This kind of file is not supported',
  'unsupported-operation': 'This model cannot run here',
  'backend-unavailable': 'This browser lacks what was asked for',
  'out-of-memory': 'The model does not fit into memory',
  'context-overflow': 'The conversation is too long for this model',
  'device-lost': 'The graphics device went away',
  'shader-compilation': 'The graphics device refused the model',
  'worker-failed': 'The model’s worker stopped',
  'quota-exceeded': 'The browser’s storage is full',
};

export function failureTitle(error: WpError): string {
  return FAILURE_TITLES[error.code] ?? 'Something went wrong';
}

export function failureView(
  error: WpError,
  onRetry: (() => void) | undefined,
  title = failureTitle(error),
): TemplateResult {
  return html`
    <div class="status failure" part="failure" role="alert">
      <span class="status-icon">${icons.alert}</span>
      <div class="status-text">
        <p class="status-title">${title}</p>
        <p class="status-message">${error.message}</p>
        ${error.hint ? html`<p class="status-hint">${error.hint}</p>` : nothing}
        <p class="status-detail">Code: <code>${error.code}</code></p>
      </div>
      ${
        onRetry
          ? html`<button type="button" class="button" part="retry-button" @click=${onRetry}>Try again</button>`
          : nothing
      }
    </div>
  `;
}
