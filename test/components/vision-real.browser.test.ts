// <wp-vision> over models that really run (tiny ones, of random weights): the scores it shows are those of transformers, and
// files that are no images, are too large, move, or lie on their side are said to be so or shown as they are meant.

import { expect } from '@esm-bundle/chai';
import '../../components/vision.ts';
import type { WpVision } from '../../components/vision.ts';
import { replaceModelLoader } from '../../components/model-loader.ts';
import type { Classification, ImagePixels, WpError } from '../../runtime/index.ts';
import { loadDirectly } from '../support/load-directly.ts';
import { expectAccessible, inShadow, maybeInShadow, mount, removeMounted, until } from './support.ts';

interface Goldens {
  labels: string[];
  names: string[];
  vit: { probabilities: number[][] };
  clip: { scores: Record<string, number[][]>; vectors: number[][]; texts: number[][] };
}

const fixture = (path: string) => new URL(`../fixtures/${path}`, import.meta.url);
const json = async <T>(path: string) => (await fetch(fixture(path))).json() as Promise<T>;
const image = (name: string) => fixture(`images/${name}`).href;

describe('wp-vision with models that run', () => {
  let goldens: Goldens;
  let picture: ImagePixels;
  let restore = () => {};

  before(async () => {
    goldens = await json('vision/goldens.json');
    const { sizes } = await json<{ sizes: [number, number][] }>('images/goldens.json');
    const bytes = new Uint8Array(await (await fetch(fixture('images/images.bin'))).arrayBuffer());
    const [width, height] = sizes[0]!;
    picture = { data: bytes.slice(0, 3 * width * height), width, height };
    restore = replaceModelLoader((source, options) =>
      loadDirectly(fixture(String(source)).href, { ...options, backend: 'wasm', precision: 'f16', threads: 1 }),
    );
  });
  after(() => restore());
  afterEach(removeMounted);

  async function open(attributes: string): Promise<WpVision> {
    const element = mount(`<wp-vision ${attributes}></wp-vision>`).querySelector('wp-vision')!;
    await until('the model', () => element.model);
    return element;
  }

  async function scoresOf(element: WpVision, change: () => void): Promise<readonly Classification[]> {
    const scores = new Promise<readonly Classification[]>((resolve, reject) => {
      element.addEventListener('wp-scores', ({ detail }) => resolve(detail.scores), { once: true });
      element.addEventListener('wp-error', ({ detail }) => reject(detail.error), { once: true });
    });
    change();
    return scores;
  }

  async function errorOf(element: WpVision, change: () => void): Promise<WpError> {
    const failure = new Promise<WpError>((resolve) =>
      element.addEventListener('wp-error', ({ detail }) => resolve(detail.error), { once: true }),
    );
    change();
    const error = await failure;
    await element.updateComplete;
    expect(inShadow(element, '[part=failure]').textContent).to.contain(error.message).and.contain(error.hint);
    return error;
  }

  function expectNear(scores: readonly Classification[], labels: readonly string[], golden: readonly number[]): void {
    expect(scores).to.have.length(labels.length);
    labels.forEach((label, i) => {
      expect(scores.find((score) => score.label === label)?.score, label).to.be.closeTo(golden[i]!, 2e-5);
    });
  }

  it('classes, labels and likeness are those of transformers', async () => {
    const classifier = await open('src="vision/vit/"');
    const classes = await scoresOf(classifier, () => (classifier.image = picture));
    expectNear(classes, goldens.names, goldens.vit.probabilities[0]!);
    const canvas = inShadow<HTMLCanvasElement>(classifier, '[part=canvas]');
    expect([canvas.width, canvas.height]).to.deep.equal([picture.width, picture.height]);
    const drawn = canvas.getContext('2d')!.getImageData(3, 2, 1, 1).data;
    const at = 3 * (2 * picture.width + 3);
    expect([...drawn]).to.deep.equal([...picture.data.slice(at, at + 3), 255]);

    const towers = await open('src="vision/clip/" task="zero-shot"');
    towers.labels = goldens.labels;
    const found = await scoresOf(towers, () => (towers.image = picture));
    expectNear(found, goldens.labels, goldens.clip.scores['This is a photo of {}.']![0]!);
    const bare = await scoresOf(towers, () => (towers.template = '{}'));
    expectNear(bare, goldens.labels, goldens.clip.scores['{}']![0]!);
    const cosines = await scoresOf(towers, () => (towers.task = 'similarity'));
    const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, number, i) => sum + number * b[i]!, 0);
    const golden = goldens.clip.texts.map((text) => dot(text, goldens.clip.vectors[0]!));
    expectNear(cosines, goldens.labels, golden);
    const [same] = await scoresOf(towers, () => (towers.reference = picture));
    expect(same!.score).to.be.closeTo(1, 1e-5);
  });

  it('each kind of file is drawn as Pillow reads it: an animation’s first frame, a photo on its side upright', async () => {
    const element = await open('src="vision/vit/"');
    const canvas = inShadow<HTMLCanvasElement>(element, '[part=canvas]');
    const { files } = await json<{ files: { name: string; width: number; height: number }[] }>('images/goldens.json');
    const bytes = new Uint8Array(await (await fetch(fixture('images/files.bin'))).arrayBuffer());
    let at = 0;
    for (const { name, width, height } of files) {
      const golden = bytes.subarray(at, (at += 3 * width * height));
      if (name === 'transparent.png') continue; // shown with its transparency, which Pillow drops
      await scoresOf(element, () => (element.image = image(name)));
      expect([canvas.width, canvas.height], name).to.deep.equal([width, height]);
      const drawn = canvas.getContext('2d')!.getImageData(0, 0, width, height).data;
      let sum = 0;
      golden.forEach((byte, i) => (sum += Math.abs(byte - drawn[4 * Math.floor(i / 3) + (i % 3)]!)));
      expect(sum / golden.length, name).to.be.lessThan(2); // of 255; JPEG decoders differ by steps
    }
    const stored = new Image();
    stored.src = image('photo.png');
    const scores = await scoresOf(element, () => (element.image = stored));
    expect(scores.reduce((sum, { score }) => sum + score, 0)).to.be.closeTo(1, 1e-5);
  });

  it('says what is wrong with an image, shows none then, and goes on with the next', async () => {
    const element = await open('src="vision/vit/"');
    const photo = new Uint8Array(await (await fetch(image('photo.png'))).arrayBuffer());
    const bad: [ImageLike: WpVision['image'], code: string, message: RegExp][] = [
      [image('huge.png'), 'invalid-argument', /pixels; at most 100 million/],
      [image('nowhere.png'), 'not-found', /answered 404/],
      [image('make.py'), 'unsupported-format', /cannot be shown as an image/],
      [new Blob([photo.slice(0, 20)], { type: 'image/png' }), 'unsupported-format', /image\/png/],
      [new Blob([]), 'unsupported-format', /cannot be shown/],
      ['http://[', 'invalid-argument', /no address/],
      [{ data: new Uint8Array(32), width: 4, height: 4 }, 'invalid-argument', /32 bytes for 4 × 4/],
      [{ data: new Uint8Array(3), width: 20_000, height: 20_000 }, 'invalid-argument', /100 million/],
    ];
    for (const [source, code, message] of bad) {
      const error = await errorOf(element, () => (element.image = source));
      expect(error.code, error.message).to.equal(code);
      expect(error.message).to.match(message);
      expect(element.scores).to.equal(undefined);
      await until('failed', () => element.getAttribute('state') === 'failed');
    }
    await expectAccessible(element);
    await scoresOf(element, () => (element.image = image('photo.jpg')));
    await element.updateComplete;
    expect(maybeInShadow(element, '[part=failure]')).to.equal(null);
    await errorOf(element, () => (element.image = image('nowhere.png')));
    expect(inShadow(element, '[part=canvas]').hidden).to.equal(true);
  });

  it('a model of another task says so', async () => {
    const classifier = await open('src="vision/vit/" task="zero-shot" labels="a cat | a dog"');
    const error = await errorOf(classifier, () => (classifier.image = picture));
    expect(error.code).to.equal('unsupported-operation');
    expect(inShadow(classifier, '[part=failure]').textContent).to.contain('This model cannot do that');
    const words = await open('src="sentences/classifier/"');
    const refusal = await errorOf(words, () => (words.image = picture));
    expect(refusal.code).to.equal('invalid-argument');
    expect(refusal.message).to.contain('reads texts');
  });
});
