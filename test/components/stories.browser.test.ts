// Every story renders without an error, in light and dark, and axe finds nothing to object to.

import { expect } from '@esm-bundle/chai';
import { render } from 'lit';
import type { Story, StoryMeta } from '../../stories/story.ts';
import * as chat from '../../stories/wp-chat.stories.ts';
import * as embed from '../../stories/wp-embed.stories.ts';
import * as meter from '../../stories/wp-memory-meter.stories.ts';
import * as model from '../../stories/wp-model.stories.ts';
import { expectAccessible, mount, rendered, removeMounted } from './support.ts';

type StoryFile = { default: StoryMeta } & Record<string, Story | StoryMeta>;

describe('stories', () => {
  afterEach(() => {
    removeMounted();
    document.documentElement.style.colorScheme = '';
  });

  for (const { default: meta, ...stories } of [chat, embed, meter, model] as unknown as StoryFile[]) {
    for (const [name, story] of Object.entries(stories) as [string, Story][]) {
      for (const theme of ['light', 'dark'] as const) {
        it(`${meta.title}: ${story.name ?? name}, ${theme}`, async () => {
          const cleanUp = story.beforeEach?.();
          const canvasElement = mount('');
          canvasElement.style.cssText = `color-scheme: ${theme}; background: Canvas; color: CanvasText`;
          try {
            render(story.render(), canvasElement);
            await story.play?.({ canvasElement });
            for (const themed of canvasElement.querySelectorAll('wp-chat, wp-embed, wp-memory-meter, wp-model')) {
              if (!themed.hasAttribute('theme')) themed.setAttribute('theme', theme);
            }
            await rendered();
            const element = canvasElement.querySelector(meta.component);
            expect(element?.shadowRoot?.childElementCount).to.be.greaterThan(0);
            await expectAccessible(canvasElement);
          } finally {
            render(null, canvasElement);
            cleanUp?.();
          }
        });
      }
    }
  }
});
