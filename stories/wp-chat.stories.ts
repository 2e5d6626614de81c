import { html } from 'lit';
import '../components/index.ts';
import { WpError } from '../runtime/index.ts';
import { FakeModel, installFakeLoader, installReadyLoader, type FakeLoad } from '../test/components/fake-model.ts';
import { MARKDOWN_ANSWER, NOTICE, STORY_PIECES } from './samples.ts';
import type { Story, StoryMeta } from './story.ts';

export default { title: 'Elements/Chat', component: 'wp-chat' } satisfies StoryMeta;

const chatIn = (canvas: HTMLElement) => canvas.querySelector('wp-chat')!;

/** A story whose load stands where `steer` leaves it. */
function whileLoading(steer: (load: FakeLoad) => void): Pick<Story, 'beforeEach' | 'play'> {
  let loads: FakeLoad[] = [];
  return {
    beforeEach: () => {
      const fake = installFakeLoader();
      loads = fake.loads;
      return fake.restore;
    },
    play: async ({ canvasElement }) => {
      await chatIn(canvasElement).updateComplete;
      await new Promise((resolve) => setTimeout(resolve)); // the load begins after the first rendering
      if (loads[0]) steer(loads[0]);
    },
  };
}

const chat = html`<wp-chat
  src="wp:fable-25m"
  suggestions="Tell me a story about a fox. | What is a lighthouse?"
  show-system
></wp-chat>`;

export const Empty: Story = {
  beforeEach: () => installReadyLoader(new FakeModel({ notice: NOTICE })),
  render: () => chat,
};

export const Loading: Story = {
  render: () => chat,
  ...whileLoading((load) =>
    load.progress({ loadedBytes: 4.2e6, totalBytes: 12.1e6, bytesPerSecond: 3.1e6, secondsLeft: 2.6 }),
  ),
};

export const LoadingOfUnknownSize: Story = {
  render: () => chat,
  ...whileLoading((load) => load.progress({ loadedBytes: 1.4e6 })),
};

export const Preparing: Story = {
  render: () => chat,
  ...whileLoading((load) => load.progress({ phase: 'compiling', loadedBytes: 12.1e6, totalBytes: 12.1e6 })),
};

export const FailedToLoad: Story = {
  render: () => html`<wp-chat src="https://example.org/model"></wp-chat>`,
  ...whileLoading((load) =>
    load.fail(
      new WpError(
        'not-a-model',
        'https://example.org/model answered with an HTML page instead of a model.',
        'Check the address: it must lead to a folder with config.json and safetensors.',
      ),
    ),
  ),
};

export const NotLoaded: Story = {
  name: 'Not loaded (cancelled)',
  render: () => chat,
  beforeEach: () => installFakeLoader().restore,
  play: async ({ canvasElement }) => {
    const element = chatIn(canvasElement);
    await element.updateComplete;
    element.session?.cancel();
  },
};

export const WithoutModel: Story = { render: () => html`<wp-chat></wp-chat>` };

export const Generating: Story = {
  beforeEach: () =>
    installReadyLoader(
      new FakeModel({
        answer: () => STORY_PIECES,
        beforePiece: (index) => (index < STORY_PIECES.length - 1 ? undefined : new Promise<void>(() => {})),
      }),
    ),
  render: () => chat,
  play: async ({ canvasElement }) => {
    const element = chatIn(canvasElement);
    await element.load();
    const firstPart = new Promise((resolve) => element.addEventListener('wp-part', resolve, { once: true }));
    void element.send('Tell me a story about a fox.');
    await firstPart;
  },
};

export const Answered: Story = {
  beforeEach: () => installReadyLoader(new FakeModel({ answer: () => [MARKDOWN_ANSWER], notice: NOTICE })),
  render: () => chat,
  play: async ({ canvasElement }) => {
    await chatIn(canvasElement).send('How do I greet someone in TypeScript?');
  },
};

export const FailedToAnswer: Story = {
  beforeEach: () =>
    installReadyLoader(
      new FakeModel({
        answer: () => ['The beginning of an answer, and then'],
        failure: {
          afterPieces: 1,
          error: new WpError(
            'context-overflow',
            'The conversation has 1,180 tokens; the context has room for 1,024.',
            'Clear the conversation, or set a larger context-length.',
          ),
        },
      }),
    ),
  render: () => chat,
  play: async ({ canvasElement }) => {
    await chatIn(canvasElement).send('Go on.');
  },
};

export const LongConversation: Story = {
  beforeEach: () => installReadyLoader(new FakeModel()),
  render: () => chat,
  play: async ({ canvasElement }) => {
    const element = chatIn(canvasElement);
    element.messages = Array.from({ length: 60 }, (_, index) =>
      index % 2 === 0
        ? { role: 'user' as const, content: `Question ${index / 2 + 1}: what comes next?` }
        : { role: 'assistant' as const, content: index % 8 === 1 ? MARKDOWN_ANSWER : 'A short answer.' },
    );
    await element.updateComplete;
  },
};

export const RightToLeft: Story = {
  beforeEach: () => installReadyLoader(new FakeModel({ answer: () => ['كان يا ما كان، في قديم الزمان، ثعلب صغير.'] })),
  render: () => html`<div dir="rtl" lang="ar"><wp-chat src="wp:fable-25m" placeholder="اكتب رسالة"></wp-chat></div>`,
  play: async ({ canvasElement }) => {
    await chatIn(canvasElement).send('احك لي قصة');
  },
};

export const OwnColours: Story = {
  beforeEach: () => installReadyLoader(new FakeModel({ answer: () => ['In the colours of the page.'] })),
  render: () => html`
    <wp-chat
      theme="light"
      src="wp:fable-25m"
      style="--wp-color-accent: #8a1c5b; --wp-color-surface: #fff; --wp-radius: 6px; --wp-font-family: Georgia, serif"
    ></wp-chat>
  `,
  play: async ({ canvasElement }) => {
    await chatIn(canvasElement).send('How do you look?');
  },
};

export const SystemPrompt: Story = {
  beforeEach: () => installReadyLoader(new FakeModel()),
  render: () => html`<wp-chat src="wp:fable-25m" show-system system="You are a pirate."></wp-chat>`,
  play: async ({ canvasElement }) => {
    const element = chatIn(canvasElement);
    await element.updateComplete;
    element.shadowRoot!.querySelector<HTMLElement>('[part=system-button]')!.click();
  },
};
