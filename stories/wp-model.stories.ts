import { html } from 'lit';
import '../components/index.ts';
import { WpError } from '../runtime/index.ts';
import { FakeModel, installFakeLoader, installReadyLoader, type FakeLoad } from '../test/components/fake-model.ts';
import type { Story, StoryMeta } from './story.ts';

export default { title: 'Elements/Model', component: 'wp-model' } satisfies StoryMeta;

function whileLoading(steer: (load: FakeLoad) => void): Pick<Story, 'beforeEach' | 'play'> {
  let loads: FakeLoad[] = [];
  return {
    beforeEach: () => {
      const fake = installFakeLoader();
      loads = fake.loads;
      return fake.restore;
    },
    play: async ({ canvasElement }) => {
      await canvasElement.querySelector('wp-model')!.updateComplete;
      await new Promise((resolve) => setTimeout(resolve));
      if (loads[0]) steer(loads[0]);
    },
  };
}

const alone = html`<wp-model src="wp:fable-25m"><p>The page’s own content stands inside.</p></wp-model>`;

export const Loading: Story = {
  render: () => alone,
  ...whileLoading((load) =>
    load.progress({ loadedBytes: 240e6, totalBytes: 640e6, bytesPerSecond: 5.2e6, secondsLeft: 77 }),
  ),
};

export const Failed: Story = {
  render: () => alone,
  ...whileLoading((load) =>
    load.fail(
      new WpError(
        'network',
        'The download of model.safetensors failed after 3 attempts.',
        'Check the connection and try again: what has arrived is kept.',
      ),
    ),
  ),
};

export const Ready: Story = { beforeEach: () => installReadyLoader(new FakeModel()), render: () => alone };

export const SharedByTwo: Story = {
  beforeEach: () => installReadyLoader(new FakeModel()),
  render: () => html`
    <wp-chat for="shared" label="Second chat" style="block-size: 22rem"></wp-chat>
    <wp-model id="shared" src="wp:fable-25m">
      <wp-chat label="First chat" style="block-size: 22rem"></wp-chat>
      <wp-memory-meter layout="compact"></wp-memory-meter>
    </wp-model>
  `,
};
