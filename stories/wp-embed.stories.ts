import { html } from 'lit';
import '../components/embed.ts';
import { WpError } from '../runtime/index.ts';
import { FakeModel, installFakeLoader, installReadyLoader } from '../test/components/fake-model.ts';
import type { Story, StoryMeta } from './story.ts';

export default { title: 'Elements/Embed', component: 'wp-embed' } satisfies StoryMeta;

const search = html`
  <wp-embed src="wp:fake" search max-results="3" label="Search the notes">
    <p>The harbour light was lit every evening at dusk.</p>
    <p>Bread rises faster in a warm kitchen.</p>
    <p>A small boat crossed the harbour before the storm.</p>
    <p>Her violin needed new strings.</p>
    <p>At dusk the lighthouse keeper climbed the stairs.</p>
  </wp-embed>
`;

const ready = () => installReadyLoader(new FakeModel());

export const Items: Story = { beforeEach: ready, render: () => search };

export const Results: Story = {
  beforeEach: ready,
  render: () => search,
  play: async ({ canvasElement }) => {
    const element = canvasElement.querySelector('wp-embed')!;
    element.query = 'the harbour light at dusk';
    while (!element.results) await new Promise((resolve) => setTimeout(resolve, 10));
    await element.updateComplete;
  },
};

export const Loading: Story = {
  render: () => search,
  beforeEach: () => {
    const { loads, restore } = installFakeLoader();
    const timer = setInterval(() => loads[0]?.progress({ loadedBytes: 9.1e6, totalBytes: 22.7e6 }), 10);
    return () => {
      clearInterval(timer);
      restore();
    };
  },
};

export const NotAnEncoder: Story = {
  render: () => search,
  beforeEach: () => {
    const error = new WpError(
      'unsupported-operation',
      'A llama cannot embed texts: it writes.',
      'Load an encoder (bert, mpnet, xlm-roberta, …).',
    );
    // A source of its own: nothing is in the store.
    return installReadyLoader(new FakeModel({ source: 'wp:writer', failure: { afterPieces: 0, error } }));
  },
};

export const WithoutModel: Story = { render: () => html`<wp-embed search><p>One note</p></wp-embed>` };
