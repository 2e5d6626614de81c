// The one place where elements reach the runtime's loader. Tests and stories put a fake in its stead.

import { loadModel, type LoadOptions, type Model, type ModelSource } from '../runtime/index.ts';

export type ModelLoader = (source: ModelSource, options?: LoadOptions) => Promise<Model>;

let current: ModelLoader = loadModel;

/** Replaces the loader for every element of the page; the function that comes back restores the previous one. */
export function replaceModelLoader(loader: ModelLoader): () => void {
  const previous = current;
  current = loader;
  return () => {
    current = previous;
  };
}

export const loadModelForElement: ModelLoader = (source, options) => current(source, options);
