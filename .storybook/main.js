// Storybook over stories/: the elements in each of their states, and the families of models that run here, with real weights.
// Vite's defaults bundle them; nothing is fetched from the network, neither by the build nor by what it makes.

/** @type {import('@storybook/web-components-vite').StorybookConfig} */
export default {
  framework: { name: '@storybook/web-components-vite', options: {} },
  stories: ['../stories/*.stories.ts'],
  // Stories take no arguments and report no actions: their panels would be empty.
  features: { controls: false, actions: false },
  core: { disableTelemetry: true, disableWhatsNewNotifications: true },
  staticDirs: [{ from: '../test/fixtures', to: '/test/fixtures' }],
};
