// Every story renders without an error, those of elements in light and dark, and axe finds nothing to object to. Stories of
// model families run the model and fail where it is not as transformers.

import { expect } from '@esm-bundle/chai';
import { render } from 'lit';
import * as decoders from '../../stories/decoders.stories.ts';
import * as encoders from '../../stories/encoders.stories.ts';
import type { Story, StoryMeta } from '../../stories/story.ts';
import * as chat from '../../stories/wp-chat.stories.ts';
import * as embed from '../../stories/wp-embed.stories.ts';
import * as meter from '../../stories/wp-memory-meter.stories.ts';
import * as model from '../../stories/wp-model.stories.ts';
import * as vision from '../../stories/wp-vision.stories.ts';
import { expectAccessible, mount, rendered, removeMounted } from './support.ts';

type StoryFile = { default: StoryMeta } & Record<string, Story | StoryMeta>;

describe('stories', () => {
  afterEach(() => {
    removeMounted();
    document.documentElement.style.colorScheme = '';
  });

  for (const { default: meta, ...stories } of [
    chat,
    embed,
    meter,
    model,
    vision,
    decoders,
    encoders,
  ] as unknown as StoryFile[]) {
    for (const [name, story] of Object.entries(stories) as [string, Story][]) {
      for (const theme of meta.component ? (['light', 'dark'] as const) : (['light'] as const)) {
        it(`${meta.title}: ${story.name ?? name}, ${theme}`, async () => {
          const cleanUp = story.beforeEach?.();
          const canvasElement = mount('');
          canvasElement.style.cssText = `color-scheme: ${theme}; background: Canvas; color: CanvasText`;
          try {
            render(story.render(), canvasElement);
            await story.play?.({ canvasElement });
            for (const themed of canvasElement.querySelectorAll(
              'wp-chat, wp-embed, wp-memory-meter, wp-model, wp-vision',
            )) {
              if (!themed.hasAttribute('theme')) themed.setAttribute('theme', theme);
            }
            await rendered();
            const element = meta.component ? canvasElement.querySelector(meta.component)?.shadowRoot : canvasElement;
            expect(element?.childElementCount).to.be.greaterThan(0);
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
