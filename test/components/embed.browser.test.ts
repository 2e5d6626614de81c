// <wp-embed>: vectors by property and event; search by meaning over what stands inside, with the keyboard; what is kept.

import { expect } from '@esm-bundle/chai';
import '../../components/embed.ts';
import type { WpEmbed } from '../../components/embed.ts';
import { WpError } from '../../runtime/index.ts';
import { FakeModel, installFakeLoader, installReadyLoader } from './fake-model.ts';
import { expectAccessible, inShadow, maybeInShadow, mount, press, removeMounted, until } from './support.ts';

const ITEMS = `
  <p>A lantern on the lake</p>
  <p>The fox sleeps</p>
  <article><a href="#x">A lamp by the water, a lake of light</a></article>
  <p></p>`;

describe('wp-embed', () => {
  let restore = () => {};
  let fake: FakeModel;
  let visits = 0;

  /** Each test has a source of its own: the store is shared. */
  const start = (options: ConstructorParameters<typeof FakeModel>[0] = {}) => {
    fake = new FakeModel({ source: `wp:fake-${Date.now()}-${visits++}`, ...options });
    restore();
    restore = installReadyLoader(fake);
  };
  const embedIn = (html: string): WpEmbed => mount(html).querySelector('wp-embed')!;
  const searchable = () => embedIn(`<wp-embed src="wp:fake" search max-results="2">${ITEMS}</wp-embed>`);
  const shown = (element: WpEmbed) =>
    [...element.shadowRoot!.querySelectorAll<HTMLSlotElement>('.result slot')].map((slot) =>
      slot.assignedElements().map((item) => item.textContent.trim()),
    );
  const type = (element: WpEmbed, text: string) => {
    const input = inShadow<HTMLInputElement>(element, 'input');
    input.value = text;
    input.dispatchEvent(new InputEvent('input', { bubbles: true, composed: true }));
  };
  const found = (element: WpEmbed) => until('results', () => element.results);

  beforeEach(() => start());
  afterEach(() => {
    removeMounted();
    restore();
    restore = () => {};
  });

  it('gives the vectors of its texts by property and event', async () => {
    const box = mount('');
    const heard: CustomEvent<{ texts: readonly string[] }>[] = [];
    box.addEventListener('wp-vectors', (event) => heard.push(event));
    box.innerHTML = '<wp-embed src="wp:fake" texts="ab | b"></wp-embed>';
    const element = box.querySelector('wp-embed')!;
    await until('vectors', () => element.embeddings);
    expect(element.embeddings!.vectors.map((vector) => [...vector.slice(0, 2)])).to.deep.equal([
      [Math.fround(Math.SQRT1_2), Math.fround(Math.SQRT1_2)],
      [0, 1],
    ]);
    expect(heard.map(({ detail }) => detail.texts)).to.deep.equal([['ab', 'b']]);
    element.texts = ['c'];
    await until('the new vectors', () => element.embeddings?.vectors.length === 1);
    expect((await element.embed('d')).vectors).to.have.length(1);
  });

  it('shows the nearest items in their order, with scores, and all of them without a query', async () => {
    const element = searchable();
    const events: string[] = [];
    element.addEventListener('wp-results', ({ detail }) => events.push(detail.query));
    await until('the items are indexed', () => fake.embedded.length === 1);
    expect(fake.embedded[0]).to.have.length(3);
    type(element, 'lake lantern');
    await found(element);
    await element.updateComplete;
    expect(shown(element)).to.deep.equal([['A lantern on the lake'], ['A lamp by the water, a lake of light']]);
    const scores = element.results!.map(({ score }) => score);
    expect(scores[0]).to.be.greaterThan(scores[1]!);
    expect(inShadow(element, '[part=score]').textContent.trim()).to.equal(scores[0]!.toFixed(2));
    expect(inShadow(element, '[part=summary]').textContent).to.equal('2 of 3 items, nearest first.');
    expect(events).to.deep.equal(['lake lantern']);
    await expectAccessible(element);
    type(element, '');
    await until('all items', () => !element.results);
    await element.updateComplete;
    expect(element.querySelectorAll('[slot]')).to.have.length(0);
    expect(element.children).to.have.length(4);
  });

  it('marks the words of the query, and takes the marks away', async () => {
    if (!('highlights' in CSS)) return;
    const element = searchable();
    element.query = 'the LAKE';
    await found(element);
    const marked = () => [...(CSS.highlights.get('wp-embed') ?? [])].map(String).sort();
    expect(marked()).to.deep.equal(['lake', 'lake', 'the', 'the']);
    element.remove();
    expect(marked()).to.deep.equal([]);
  });

  it('moves through the results with the keyboard', async () => {
    const element = searchable();
    const chosen: string[] = [];
    element.addEventListener('wp-select', ({ detail }) => chosen.push(detail.item.localName));
    element.query = 'lamp water';
    await found(element);
    await element.updateComplete;
    const active = () => element.shadowRoot!.activeElement!;
    const results = [...element.shadowRoot!.querySelectorAll('.result')];
    element.focus();
    press(active(), 'ArrowDown');
    expect(active()).to.equal(results[0]);
    press(active(), 'Enter');
    press(active(), 'ArrowDown');
    press(active(), 'ArrowDown');
    expect(active()).to.equal(results[1]);
    press(active(), 'Enter');
    press(active(), 'ArrowUp');
    press(active(), 'ArrowUp');
    expect(active().localName).to.equal('input');
    expect(chosen).to.deep.equal(['article', 'p']);
  });

  it('embeds only what is new: what was added now, and what the store has not', async () => {
    const element = searchable();
    await until('the items are indexed', () => fake.embedded.length === 1);
    element.insertAdjacentHTML('beforeend', '<p>Lately added</p>');
    await until('the new one is indexed', () => fake.embedded.length === 2);
    expect(fake.embedded[1]).to.deep.equal(['Lately added']);
    element.remove();
    const { source } = fake.info;
    start({ source });
    const again = searchable();
    again.query = 'fox';
    await found(again);
    expect(fake.embedded).to.deep.equal([['fox']]);
    expect(again.results![0]!.item.textContent).to.equal('The fox sleeps');
  });

  it('makes vectors anew for another model, other settings and another refresh key, and for a text that has changed', async () => {
    const indexed = async (element: WpEmbed, texts: number) => {
      await until('the items are indexed', () => fake.embedded.at(-1)?.length === texts);
      fake.embedded.length = 0;
      return element;
    };
    const element = await indexed(searchable(), 3);
    element.querySelector('p')!.textContent = 'A candle on the lake';
    await indexed(element, 1);
    element.refreshKey = '2';
    await indexed(element, 3);
    element.dimensions = 26;
    await indexed(element, 3);
    element.remove();
    const { source } = fake.info;
    start({ source });
    // The vectors of the last settings are kept, in a typed array, and no others.
    const again = searchable();
    await indexed(again, 3);
    again.remove();
    start();
    await indexed(searchable(), 3);
  });

  it('hides what lies below the threshold', async () => {
    const element = searchable();
    element.threshold = 2;
    element.query = 'lake';
    await found(element);
    await element.updateComplete;
    expect(element.results).to.deep.equal([]);
    expect(element.shadowRoot!.textContent).to.contain('None of 3 items');
  });

  it('says plainly that it needs a model', async () => {
    const element = embedIn('<wp-embed search><p>One</p></wp-embed>');
    await element.updateComplete;
    expect(inShadow(element, '[part=failure]').textContent).to.contain('needs a text encoder').and.contain('src=');
    await expectAccessible(element);
    const error = await element.embed('a').catch((thrown: unknown) => thrown);
    expect((error as WpError).code).to.equal('invalid-source');
  });

  it('shows the progress of the load, and why it failed', async () => {
    restore();
    const loader = installFakeLoader();
    restore = loader.restore;
    const element = searchable();
    await until('the load', () => loader.loads[0]);
    await element.updateComplete;
    expect(maybeInShadow(element, '[role=progressbar]')).not.to.equal(null);
    loader.loads[0]!.fail(new WpError('network', 'The server is away.', 'Try again.'));
    await until('the failure', () => element.shadowRoot!.textContent.includes('The server is away.'));
  });

  it('shows why it could not embed, and tries again', async () => {
    start({ failure: { afterPieces: 0, error: new WpError('unsupported-operation', 'A llama cannot embed texts.') } });
    const codes: string[] = [];
    const element = searchable();
    element.addEventListener('wp-error', ({ detail }) => codes.push(detail.error.code));
    await until('the reason', () => element.shadowRoot!.textContent.includes('A llama cannot embed texts.'));
    expect(codes).to.deep.equal(['unsupported-operation']);
    delete (fake.options as { failure?: unknown }).failure;
    inShadow<HTMLButtonElement>(element, '[part=retry-button]').click();
    await until('the items are indexed', () => fake.embedded.length === 1);
  });
});
