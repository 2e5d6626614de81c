// What every story has: light and dark by the toolbar, and the elements' documentation from custom-elements.json.

import { setCustomElementsManifest } from '@storybook/web-components-vite';
import manifest from '../custom-elements.json' with { type: 'json' };

setCustomElementsManifest(manifest);

/** @type {import('@storybook/web-components-vite').Preview} */
export default {
  parameters: { backgrounds: { disable: true }, options: { storySort: { order: ['Elements', 'Families'] } } },
  initialGlobals: { theme: 'light dark' },
  globalTypes: {
    theme: {
      description: 'Light or dark',
      toolbar: {
        title: 'Theme',
        icon: 'circlehollow',
        items: [
          { value: 'light dark', title: 'As the system prefers' },
          { value: 'light', title: 'Light' },
          { value: 'dark', title: 'Dark' },
        ],
      },
    },
  },
  decorators: [
    (story, { globals }) => {
      const { style } = document.documentElement;
      style.colorScheme = globals.theme;
      style.background = 'Canvas';
      style.color = 'CanvasText';
      // An element that says nothing of its theme follows the page's.
      const theme = globals.theme === 'light dark' ? undefined : globals.theme;
      queueMicrotask(() => {
        for (const element of document.querySelectorAll('wp-chat, wp-embed, wp-memory-meter, wp-model, wp-vision')) {
          if (theme) element.setAttribute('theme', theme);
        }
      });
      return story();
    },
  ],
};
