// The events of the elements, with the types of their details. All bubble and cross shadow roots, so that a page can
// listen once at the top.

import type {
  ChatMessage,
  Classification,
  Embeddings,
  FinishReason,
  ImageSource,
  LoadProgress,
  Model,
  Timing,
  Usage,
  WpError,
} from '../runtime/index.ts';
import type { ModelStatus } from './model-session.ts';

export interface StateDetail {
  state: ModelStatus;
  previous: ModelStatus;
}

export interface MessageDetail {
  message: ChatMessage;
  /** Of an answer; absent for what the person wrote. */
  finishReason?: FinishReason | undefined;
  usage?: Usage | undefined;
  timing?: Timing | undefined;
}

export interface WpEventDetails {
  /** The state of the model changed. */
  'wp-state': StateDetail;
  /** Bytes arrived, or the load entered its next phase; at most about ten times a second. */
  'wp-progress': LoadProgress;
  /** The model can be used. */
  'wp-ready': { model: Model };
  /** Loading or answering failed. */
  'wp-error': { error: WpError };
  /** A message was sent, or an answer was completed or stopped. */
  'wp-message': MessageDetail;
  /** A piece of an answer arrived. */
  'wp-part': { text: string };
  /** The conversation was cleared. */
  'wp-clear': null;
  /** The vectors of an element's texts are there. */
  'wp-vectors': { texts: readonly string[]; embeddings: Embeddings };
  /** A search has found its results. */
  'wp-results': { query: string; results: readonly { item: HTMLElement; score: number }[] };
  /** A result was chosen. */
  'wp-select': { item: HTMLElement; score: number };
  /** A person gave an image. */
  'wp-image': { image: ImageSource };
  /** What the model says of an image, best first. */
  'wp-scores': { task: 'classify' | 'zero-shot' | 'similarity'; scores: readonly Classification[] };
}

export type WpEventMap = { [Type in keyof WpEventDetails]: CustomEvent<WpEventDetails[Type]> };

export function emit<Type extends keyof WpEventDetails>(
  host: HTMLElement,
  type: Type,
  detail: WpEventDetails[Type],
): void {
  host.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
}

declare global {
  interface HTMLElementEventMap {
    'wp-state': WpEventMap['wp-state'];
    'wp-progress': WpEventMap['wp-progress'];
    'wp-ready': WpEventMap['wp-ready'];
    'wp-error': WpEventMap['wp-error'];
    'wp-message': WpEventMap['wp-message'];
    'wp-part': WpEventMap['wp-part'];
    'wp-clear': WpEventMap['wp-clear'];
    'wp-vectors': WpEventMap['wp-vectors'];
    'wp-results': WpEventMap['wp-results'];
    'wp-select': WpEventMap['wp-select'];
    'wp-image': WpEventMap['wp-image'];
    'wp-scores': WpEventMap['wp-scores'];
  }
}
