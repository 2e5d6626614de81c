// <wp-vision>: images by property, drop, paste, file and camera; scores; labels; what it says when something is wrong.

import { expect } from '@esm-bundle/chai';
import '../../components/vision.ts';
import type { WpVision } from '../../components/vision.ts';
import { WpError } from '../../runtime/index.ts';
import { FakeModel, installReadyLoader } from './fake-model.ts';
import { expectAccessible, gate, inShadow, maybeInShadow, mount, press, removeMounted, until } from './support.ts';

describe('wp-vision', () => {
  const classes = [
    { label: 'boat', score: 0.75 },
    { label: 'pier', score: 0.2 },
    { label: 'loaf', score: 0.05 },
  ];
  let restore = () => {};
  let fake: FakeModel;
  const start = (options: ConstructorParameters<typeof FakeModel>[0] = {}) => {
    fake = new FakeModel({ classes, ...options });
    restore();
    restore = installReadyLoader(fake);
  };
  const visionIn = (html: string): WpVision => mount(html).querySelector('wp-vision')!;

  async function png(width = 4, height = 2): Promise<File> {
    const canvas = new OffscreenCanvas(width, height);
    canvas.getContext('2d')!.fillRect(0, 0, width, height);
    return new File([await canvas.convertToBlob()], 'a.png', { type: 'image/png' });
  }
  function transfer(...files: File[]): DataTransfer {
    const data = new DataTransfer();
    for (const file of files) data.items.add(file);
    return data;
  }

  /** Firefox makes none with files in it. */
  function pasteOf(...files: File[]): Event {
    const event = new Event('paste', { bubbles: true, cancelable: true });
    return Object.defineProperty(event, 'clipboardData', { value: transfer(...files) });
  }

  beforeEach(() => start());
  afterEach(() => {
    removeMounted();
    restore();
    restore = () => {};
  });

  it('shows the scores of its image, draws it, and tells them by property, event and voice', async () => {
    const element = visionIn('<wp-vision src="wp:fake" max-results="2"></wp-vision>');
    const events: string[] = [];
    element.addEventListener('wp-scores', ({ detail }) => events.push(`${detail.task}: ${detail.scores[0]!.label}`));
    element.image = await png();
    await until('the scores', () => element.scores);
    await element.updateComplete;
    expect(element.scores).to.deep.equal(classes);
    const rows = [...element.shadowRoot!.querySelectorAll('[part=score]')].map((row) =>
      row.textContent.replace(/\s+/g, ' ').trim(),
    );
    expect(rows).to.deep.equal(['boat 75.0 %', 'pier 20.0 %']);
    const canvas = inShadow<HTMLCanvasElement>(element, '[part=canvas]');
    expect([canvas.width, canvas.height, canvas.hidden]).to.deep.equal([4, 2, false]);
    expect(canvas.getAttribute('aria-label')).to.equal('The image: boat, 75.0 %');
    expect(inShadow(element, '.announcer').textContent).to.contain('boat, 75.0 %');
    expect(events).to.deep.equal(['classify: boat']);
    await until('ready again', () => element.getAttribute('state') === 'ready');
    await expectAccessible(element);
  });

  it('takes images by drop, paste and file', async () => {
    const element = visionIn('<wp-vision src="wp:fake"></wp-vision>');
    await element.updateComplete;
    const taken: unknown[] = [];
    element.addEventListener('wp-image', ({ detail }) => taken.push(detail.image));
    const files = [await png(1, 1), await png(2, 1), await png(3, 1)];
    const stage = inShadow(element, '[part=stage]');
    stage.dispatchEvent(new DragEvent('dragover', { cancelable: true }));
    await element.updateComplete;
    expect(stage.classList.contains('over')).to.equal(true);
    stage.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer(files[0]!), cancelable: true }));
    expect(taken).to.have.length(1);
    const paste = pasteOf(files[1]!);
    document.dispatchEvent(paste);
    expect(taken).to.have.length(2);
    expect(paste.defaultPrevented).to.equal(true);
    const chooser = inShadow<HTMLInputElement>(element, 'input[type=file]');
    chooser.files = transfer(files[2]!).files;
    chooser.dispatchEvent(new Event('change'));
    expect(taken).to.have.length(3);
    expect((taken[2] as File).size).to.equal(files[2]!.size);
    await until('the last one was looked at', () => fake.seen.at(-1)?.[0] === taken[2]);
  });

  it('takes the address of an image that is dragged from a page, and refuses what holds none', async () => {
    const element = visionIn('<wp-vision src="wp:fake"></wp-vision>');
    await element.updateComplete;
    const stage = inShadow(element, '[part=stage]');
    const drop = (dataTransfer: DataTransfer) => stage.dispatchEvent(new DragEvent('drop', { dataTransfer }));
    const codes: string[] = [];
    element.addEventListener('wp-error', ({ detail }) => codes.push(detail.error.code));
    await until('the model', () => element.model);
    drop(new DataTransfer());
    await element.updateComplete;
    expect(codes).to.deep.equal(['unsupported-format']);
    expect(inShadow(element, '[part=failure]').textContent).to.contain('holds no image');
    const dragged = new DataTransfer();
    const pixel = new OffscreenCanvas(1, 1);
    pixel.getContext('2d')!.fillRect(0, 0, 1, 1);
    const address = URL.createObjectURL(await pixel.convertToBlob());
    dragged.setData('text/uri-list', `# a comment\r\n${address}`);
    drop(dragged);
    expect(element.image).to.equal(address);
    await until('the scores', () => element.scores);
    stage.dispatchEvent(new DragEvent('dragover', { cancelable: true }));
    stage.dispatchEvent(new DragEvent('dragleave', { relatedTarget: document.body }));
    await element.updateComplete;
    expect(stage.classList.contains('over')).to.equal(false);
  });

  it('a new image takes the place of one that the model still looks at', async () => {
    const held = gate();
    let calls = 0;
    start({ beforePiece: () => (calls++ === 0 ? held.promise : undefined) });
    const element = visionIn('<wp-vision src="wp:fake"></wp-vision>');
    const told: string[] = [];
    element.addEventListener('wp-scores', ({ detail }) => told.push(detail.task));
    element.image = await png();
    await until('it looks', () => element.getAttribute('state') === 'busy' && calls === 1);
    await expectAccessible(element);
    element.image = await png(9, 9);
    await until('the scores', () => element.scores);
    held.open();
    await until('ready', () => element.getAttribute('state') === 'ready' && fake.seen.length === 2);
    expect(told).to.deep.equal(['classify']);
  });

  it('what is pasted into a field of the page stays there', async () => {
    const element = visionIn('<textarea></textarea><wp-vision src="wp:fake"></wp-vision>');
    const field = element.parentElement!.querySelector('textarea')!;
    field.focus();
    field.dispatchEvent(pasteOf(await png()));
    expect(element.image).to.equal(undefined);
  });

  it('compares with labels that a person types, and with another image', async () => {
    const element = visionIn('<wp-vision src="wp:fake" task="zero-shot" labels="a boat | a train"></wp-vision>');
    element.image = await png();
    await until('the scores', () => element.scores);
    expect(element.scores!.map(({ label }) => label)).to.deep.equal(['a boat', 'a train']);
    const field = inShadow<HTMLInputElement>(element, '[part=labels]');
    expect(field.value).to.equal('a boat, a train');
    field.value = 'bread,, violin ,lake';
    field.dispatchEvent(new Event('change'));
    await until('the new scores', () => element.scores?.length === 3);
    expect(element.labels).to.deep.equal(['bread', 'violin', 'lake']);
    await expectAccessible(element);
    element.task = 'similarity';
    element.reference = await png(2, 2);
    await until('the likeness', () => element.scores?.[0]?.label === 'Likeness');
    await element.updateComplete;
    expect(inShadow(element, '.value').textContent).to.equal('0.73');
    expect(maybeInShadow(element, '[part=labels]')).to.equal(null);
  });

  it('looks through the camera until it is stopped, and keeps the last picture', async () => {
    const source = document.createElement('canvas');
    Object.assign(source, { width: 8, height: 6 });
    const context = source.getContext('2d')!;
    const paint = setInterval(() => context.fillRect(0, 0, 8, 6), 10);
    const real = navigator.mediaDevices.getUserMedia;
    let stream: MediaStream | undefined;
    navigator.mediaDevices.getUserMedia = () => Promise.resolve((stream = source.captureStream(30)));
    try {
      const element = visionIn('<wp-vision src="wp:fake"></wp-vision>');
      await until('the model', () => element.model);
      const watching = element.startCamera();
      await until('two frames were looked at', () => fake.seen.length >= 2);
      expect(inShadow(element, '[part=actions]').textContent).to.contain('Stop the camera');
      element.labels = ['a boat']; // the camera goes on
      await element.updateComplete;
      const before = fake.seen.length;
      await until('the next frame', () => fake.seen.length > before);
      press(inShadow(element, '[part=actions] button'), 'Escape');
      await watching;
      expect(stream!.getTracks().every(({ readyState }) => readyState === 'ended')).to.equal(true);
      await element.updateComplete;
      expect(maybeInShadow(element, 'video')).to.equal(null);
      const canvas = inShadow<HTMLCanvasElement>(element, '[part=canvas]');
      await until('the last picture', () => !canvas.hidden && canvas.width === 8);
    } finally {
      clearInterval(paint);
      navigator.mediaDevices.getUserMedia = real;
    }
  });

  it('says why the camera cannot be used', async () => {
    const real = navigator.mediaDevices.getUserMedia;
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('Denied', 'NotAllowedError'));
    try {
      const element = visionIn('<wp-vision src="wp:fake"></wp-vision>');
      await until('the model', () => element.model);
      await element.startCamera();
      await element.updateComplete;
      expect(inShadow(element, '[part=failure]').textContent).to.contain('The camera cannot be used: Denied');
    } finally {
      navigator.mediaDevices.getUserMedia = real;
    }
  });

  it('says what is wrong with an image, and goes on with the next', async () => {
    const element = visionIn('<wp-vision src="wp:fake"></wp-vision>');
    const codes: string[] = [];
    element.addEventListener('wp-error', ({ detail }) => codes.push(detail.error.code));
    element.image = new Blob(['no image']);
    await until('the reason', () => element.shadowRoot!.textContent.includes('cannot be shown'));
    expect(codes).to.deep.equal(['unsupported-format']);
    element.image = await png();
    await until('the scores', () => element.scores);
    await element.updateComplete;
    expect(maybeInShadow(element, '[part=failure]')).to.equal(null);
  });

  it('says plainly that it needs a model, and shows what the model refused', async () => {
    const alone = visionIn('<wp-vision></wp-vision>');
    await alone.updateComplete;
    expect(inShadow(alone, '[part=failure]').textContent)
      .to.contain('needs a model that reads images')
      .and.contain('src=');
    await expectAccessible(alone);
    start({ failure: { afterPieces: 0, error: new WpError('unsupported-operation', 'A llama reads no images.') } });
    const element = visionIn('<wp-vision src="wp:fake"></wp-vision>');
    element.image = await png();
    await until('the reason', () => element.shadowRoot!.textContent.includes('A llama reads no images.'));
    expect(element.getAttribute('state')).to.equal('failed');
  });
});
