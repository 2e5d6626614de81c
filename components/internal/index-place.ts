// Where an element's vectors are kept, and until when they count.

import type { ModelInfo } from '../../runtime/index.ts';
import type { IndexPlace } from './vector-index.ts';

/** `settings` are those of the element that decide what vector a text gets, beside the model. */
export function indexPlace(
  element: HTMLElement,
  { source, plan, encoder }: ModelInfo,
  settings: readonly unknown[],
): IndexPlace {
  // Of this page: by its id, or by its place among its like.
  const place = [...document.querySelectorAll(element.localName)].indexOf(element);
  const decisive = [source, plan.precision, plan.downloadBytes, encoder, ...settings];
  return {
    name: `${location.pathname}#${element.id || place}`,
    refreshKey: JSON.stringify(decisive, (_, value: unknown) => value ?? null),
  };
}
