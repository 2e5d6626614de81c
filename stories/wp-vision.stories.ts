import { html, type TemplateResult } from 'lit';
import '../components/vision.ts';
import { WpError, type EncoderInfo } from '../runtime/index.ts';
import { replaceModelLoader } from '../components/model-loader.ts';
import { FakeModel, installFakeLoader, installReadyLoader } from '../test/components/fake-model.ts';
import { loadDirectly } from '../test/support/load-directly.ts';
import { fixtureUrl } from './family-card.ts';
import type { Story, StoryMeta } from './story.ts';

export default { title: 'Elements/Vision', component: 'wp-vision' } satisfies StoryMeta;

const encoder: EncoderInfo = {
  tasks: ['embed', 'classify', 'zeroShot'],
  images: { width: 224, height: 224, maxPixels: 1e8, readsTexts: true },
  dimensions: 26,
  maxTokens: 77,
  pooling: 'pooler',
  normalize: true,
  prompts: {},
  defaultPrompt: undefined,
  similarity: 'cosine',
  labels: [],
  isMultiLabel: false,
};

const classes = [
  { label: 'lakeside, lakeshore', score: 0.612 },
  { label: 'sailing boat', score: 0.214 },
  { label: 'breakwater, groyne, mole, bulwark, seawall, jetty', score: 0.093 },
  { label: 'pier', score: 0.031 },
  { label: 'beacon, lighthouse', score: 0.018 },
];

/** A lake at dusk, drawn here: stories fetch nothing. */
function picture(width = 640, height = 420): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width, height });
  const context = canvas.getContext('2d')!;
  const sky = context.createLinearGradient(0, 0, 0, height * 0.62);
  for (const [at, colour] of [
    [0, '#26406b'],
    [0.6, '#c9765b'],
    [1, '#f3c98b'],
  ] as const)
    sky.addColorStop(at, colour);
  context.fillStyle = sky;
  context.fillRect(0, 0, width, height * 0.62);
  context.fillStyle = '#ffe9b8';
  context.beginPath();
  context.arc(width * 0.7, height * 0.5, height * 0.07, 0, 7);
  context.fill();
  context.fillStyle = '#2b3a55';
  context.beginPath();
  context.moveTo(0, height * 0.62);
  for (let x = 0; x <= width; x += 8) context.lineTo(x, height * (0.55 - 0.12 * Math.abs(Math.sin(x / 97))));
  context.lineTo(width, height * 0.62);
  context.fill();
  context.fillStyle = '#3f5f86';
  context.fillRect(0, height * 0.62, width, height * 0.38);
  context.fillStyle = '#f3c98b66';
  for (let y = height * 0.64; y < height; y += 9)
    context.fillRect(width * 0.7 - (y - height * 0.6), y, 2 * (y - height * 0.6), 2);
  context.fillStyle = '#1d2433';
  context.beginPath();
  context.moveTo(width * 0.2, height * 0.78);
  context.lineTo(width * 0.38, height * 0.78);
  context.lineTo(width * 0.35, height * 0.83);
  context.lineTo(width * 0.23, height * 0.83);
  context.fill();
  context.fillStyle = '#f5f0e6';
  context.beginPath();
  context.moveTo(width * 0.29, height * 0.5);
  context.lineTo(width * 0.29, height * 0.76);
  context.lineTo(width * 0.37, height * 0.76);
  context.fill();
  return canvas;
}

const ready = () => installReadyLoader(new FakeModel({ encoder, classes }));

const settled = async ({ canvasElement }: { canvasElement: HTMLElement }): Promise<void> => {
  const element = canvasElement.querySelector('wp-vision')!;
  while (!element.scores) await new Promise((resolve) => setTimeout(resolve, 10));
  await element.updateComplete;
};

const shown = (render: () => TemplateResult): Story => ({ beforeEach: ready, render, play: settled });

export const Empty: Story = { beforeEach: ready, render: () => html`<wp-vision src="wp:fake"></wp-vision>` };

export const Classes = shown(() => html`<wp-vision src="wp:fake" .image=${picture()}></wp-vision>`);

export const Labels = shown(
  () =>
    html`<wp-vision
      src="wp:fake"
      task="zero-shot"
      labels="a boat on a lake | a train | a loaf of bread"
      .image=${picture()}
    ></wp-vision>`,
);

export const Likeness = shown(
  () =>
    html`<wp-vision src="wp:fake" task="similarity" .image=${picture()} .reference=${picture(300, 300)}></wp-vision>`,
);

/** A person has written none yet. */
export const LabelsToWrite: Story = {
  beforeEach: ready,
  render: () => html`<wp-vision src="wp:fake" task="zero-shot" .image=${picture()}></wp-vision>`,
};

/** The image beside texts: cosines, not shares. */
export const LikenessToTexts = shown(
  () =>
    html`<wp-vision
      src="wp:fake"
      task="similarity"
      labels="a boat on a lake | a train, seen from afar"
      .image=${picture(420, 640)}
    ></wp-vision>`,
);

/** A CLIP of random weights that really runs, on this page’s CPU. */
export const RealModel: Story = {
  name: 'A tiny model that runs',
  beforeEach: () =>
    replaceModelLoader((_, options) =>
      loadDirectly(fixtureUrl('vision/clip/').href, { ...options, backend: 'wasm', threads: 1 }),
    ),
  render: () => html`
    <wp-vision src="wp:tiny" task="similarity" .image=${picture()} .reference=${picture()}></wp-vision>
  `,
  play: async (context) => {
    await settled(context);
    const [first] = context.canvasElement.querySelector('wp-vision')!.scores!;
    if (!(first!.score > 0.999)) throw new Error(`An image is as near to itself as 1, not ${first!.score}.`);
  },
};

export const Loading: Story = {
  render: () => html`<wp-vision src="wp:fake" .image=${picture()}></wp-vision>`,
  beforeEach: () => {
    const { loads, restore } = installFakeLoader();
    const timer = setInterval(() => loads[0]?.progress({ loadedBytes: 62e6, totalBytes: 88.1e6 }), 10);
    return () => {
      clearInterval(timer);
      restore();
    };
  },
};

export const Busy: Story = {
  render: () => html`<wp-vision src="wp:fake" .image=${picture()}></wp-vision>`,
  beforeEach: () =>
    installReadyLoader(new FakeModel({ encoder, classes, beforePiece: () => new Promise(() => undefined) })),
};

export const NotLoaded: Story = {
  name: 'Not loaded (cancelled)',
  render: () => html`<wp-vision src="wp:fake" .image=${picture()}></wp-vision>`,
  beforeEach: () => installFakeLoader().restore,
  play: async ({ canvasElement }) => {
    const element = canvasElement.querySelector('wp-vision')!;
    await element.updateComplete;
    element.session?.cancel();
  },
};

/** What the camera sees, a drawing here, is looked at frame after frame. */
export const Camera: Story = {
  render: () => html`<wp-vision src="wp:fake"></wp-vision>`,
  beforeEach: () => {
    const restore = ready();
    const scene = picture();
    const timer = setInterval(() => scene.getContext('2d')!.fillRect(0, 0, 1, 1), 30); // a stream has frames of what changes
    const { mediaDevices } = navigator;
    const real = mediaDevices.getUserMedia;
    mediaDevices.getUserMedia = () => Promise.resolve(scene.captureStream(10));
    return () => {
      clearInterval(timer);
      mediaDevices.getUserMedia = real;
      restore();
    };
  },
  play: async (context) => {
    void context.canvasElement.querySelector('wp-vision')!.startCamera();
    await settled(context);
  },
};

export const NotAnImage: Story = {
  render: () => html`<wp-vision src="wp:fake" .image=${new Blob(['no image'])}></wp-vision>`,
  beforeEach: ready,
};

export const ReadsNoImages: Story = {
  render: () => html`<wp-vision src="wp:fake" .image=${picture()}></wp-vision>`,
  beforeEach: () => {
    const message = 'A llama cannot classify texts: it writes.';
    const error = new WpError(
      'unsupported-operation',
      message,
      'Load a model that reads images (vit, clip, siglip, …).',
    );
    return installReadyLoader(new FakeModel({ failure: { afterPieces: 0, error } }));
  },
};

export const WithoutModel: Story = { render: () => html`<wp-vision></wp-vision>` };
