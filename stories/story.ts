// The part of the Component Story Format (version 3) that our stories use, so that Storybook and our browser tests can
// both run them: https://storybook.js.org/docs/api/csf

import type { TemplateResult } from 'lit';

export interface StoryMeta {
  title: string;
  /** The element's tag; absent where a story shows a model and no element. */
  component?: string;
}

export interface Story {
  name?: string;
  render: () => TemplateResult;
  /** Runs before the story is rendered; what it returns runs after the story was removed. */
  beforeEach?: () => (() => void) | void;
  /** Brings the story into its state. */
  play?: (context: { canvasElement: HTMLElement }) => Promise<void> | void;
}
