import { html } from 'lit';
import '../components/index.ts';
import { FakeModel, installReadyLoader } from '../test/components/fake-model.ts';
import type { Story, StoryMeta } from './story.ts';

export default { title: 'Elements/Memory meter', component: 'wp-memory-meter' } satisfies StoryMeta;

const withContext = (contextUsed: number) => () => {
  const model = new FakeModel();
  model.contextUsed = contextUsed;
  return installReadyLoader(model);
};

/** Waits until the meter has measured. */
const measured: Story['play'] = async ({ canvasElement }) => {
  const meter = canvasElement.querySelector('wp-memory-meter')!;
  while (!meter.report) await new Promise((resolve) => requestAnimationFrame(resolve));
  await meter.updateComplete;
};

export const Full: Story = {
  beforeEach: withContext(310),
  render: () => html`<wp-model src="wp:fable-25m"><wp-memory-meter></wp-memory-meter></wp-model>`,
  play: measured,
};

export const Compact: Story = {
  beforeEach: withContext(310),
  render: () => html`<wp-model src="wp:fable-25m"><wp-memory-meter layout="compact"></wp-memory-meter></wp-model>`,
  play: measured,
};

export const FullContext: Story = {
  beforeEach: withContext(1024),
  render: () => html`<wp-model src="wp:fable-25m"><wp-memory-meter label="Memory"></wp-memory-meter></wp-model>`,
  play: measured,
};

export const NothingLoaded: Story = { render: () => html`<wp-memory-meter></wp-memory-meter>` };
