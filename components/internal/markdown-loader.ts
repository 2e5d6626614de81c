// Markdown is half of the elements' script and is not needed before the first answer: it is fetched beside the model.

import type { MarkdownView } from './markdown-view.ts';

export type { MarkdownView };

let view: typeof MarkdownView | undefined;
let loading: Promise<void> | undefined;

/**
 * The class that renders Markdown, or undefined while it is on its way; then `onLoaded` is called when it has come. If it
 * cannot be fetched, the page's error handler hears of it, answers stay as they were written, and the next call tries again.
 */
export function loadMarkdown(onLoaded?: () => void): typeof MarkdownView | undefined {
  if (view) return view;
  loading ??= import('./markdown-view.ts').then((module) => {
    view = module.MarkdownView;
  });
  loading.then(onLoaded, (error: unknown) => {
    if (loading) reportError(error);
    loading = undefined;
  });
  return undefined;
}
