import { html } from 'lit';
import '../components/embed.ts';
import { WpError } from '../runtime/index.ts';
import { replaceModelLoader } from '../components/model-loader.ts';
import { FakeModel, installFakeLoader, installReadyLoader } from '../test/components/fake-model.ts';
import { loadDirectly } from '../test/support/load-directly.ts';
import { fixtureUrl } from './family-card.ts';
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

async function searchFor(query: string, { canvasElement }: { canvasElement: HTMLElement }): Promise<void> {
  const element = canvasElement.querySelector('wp-embed')!;
  element.query = query;
  while (!element.results) await new Promise((resolve) => setTimeout(resolve, 10));
  await element.updateComplete;
}

export const Results: Story = {
  beforeEach: ready,
  render: () => search,
  play: (context) => searchFor('the harbour light at dusk', context),
};

export const NothingFound: Story = {
  beforeEach: ready,
  render: () => html`
    <wp-embed src="wp:fake" search threshold="0.99" label="Search the notes">
      <p>Bread rises faster in a warm kitchen.</p>
      <p>Her violin needed new strings.</p>
    </wp-embed>
  `,
  play: (context) => searchFor('harbour', context),
};

export const RightToLeft: Story = {
  beforeEach: ready,
  render: () => html`
    <div dir="rtl" lang="ar">
      <wp-embed src="wp:fake" search label="بحث" placeholder="ابحث بالمعنى">
        <p>fox · ثعلب صغير</p>
        <p>harbour · ميناء</p>
      </wp-embed>
    </div>
  `,
  play: (context) => searchFor('fox', context),
};

/** No field: texts become vectors, and the page has them by property and event. */
export const VectorsOnly: Story = {
  beforeEach: ready,
  render: () => html`<wp-embed src="wp:fake" texts="a lantern | a lamp"><p>The page’s own content.</p></wp-embed>`,
  play: async ({ canvasElement }) => {
    const element = canvasElement.querySelector('wp-embed')!;
    while (!element.embeddings) await new Promise((resolve) => setTimeout(resolve, 10));
    if (element.embeddings.vectors.length !== 2) throw new Error('Two texts have two vectors.');
  },
};

/** An encoder of random weights that really runs, on this page’s CPU. */
export const RealModel: Story = {
  name: 'A tiny model that runs',
  beforeEach: () =>
    replaceModelLoader((_, options) =>
      loadDirectly(fixtureUrl('sentences/embedder/').href, { ...options, backend: 'wasm', threads: 1 }),
    ),
  render: () => html`
    <wp-embed src="wp:tiny" search max-results="3" label="Search the notes">
      <p>the harbour light was lit every evening</p>
      <p>bread rises faster in a warm kitchen</p>
      <p>a small boat crossed the harbour</p>
    </wp-embed>
  `,
  play: async (context) => {
    await searchFor('the harbour light was lit every evening', context);
    const [first] = context.canvasElement.querySelector('wp-embed')!.results!;
    if (!(first!.score > 0.999)) throw new Error(`A text is as near to itself as 1, not ${first!.score}.`);
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
