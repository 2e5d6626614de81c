// What a model writes is untrusted: nothing of it runs, loads or leaves. And text that arrives in pieces ends up as the
// same document as text that arrives at once, without touching what was finished.

import { expect } from '@esm-bundle/chai';
import { MarkdownView } from '../../components/internal/markdown-view.ts';

const HOSTILE = [
  '<script>window.__hacked = true</script>',
  '<img src=x onerror="window.__hacked = true">',
  '<svg onload="window.__hacked = true"></svg>',
  '<iframe srcdoc="<script>parent.__hacked = true</script>"></iframe>',
  '[click](javascript:window.__hacked=true)',
  '[click](JaVaScRiPt:window.__hacked=true)',
  '[click](java&#x0A;script:window.__hacked=true)',
  '[click](data:text/html;base64,PHNjcmlwdD53aW5kb3cuX19oYWNrZWQ9dHJ1ZTwvc2NyaXB0Pg==)',
  '[click](vbscript:msgbox)',
  '[click](//evil.example/path)',
  '[a](https://ok.example "x\\" onclick=\\"window.__hacked=true")',
  '![alt](https://tracker.example/pixel.png)',
  '![x](x"onerror="window.__hacked=true)',
  '<a href="https://ok.example" onclick="window.__hacked = true">x</a>',
  '<details open ontoggle="window.__hacked = true"><summary>x</summary></details>',
  '<math><mtext><table><mglyph><style><img src=x onerror="window.__hacked = true"></style></mglyph></table></mtext></math>',
  '<form action="https://evil.example"><input name=a><button>go</button></form>',
  '<style>* { display: none }</style>',
  '<base href="https://evil.example/">',
  '<meta http-equiv="refresh" content="0;url=https://evil.example">',
  '<object data="javascript:1"></object><embed src="javascript:1">',
  '```html"onmouseover="window.__hacked=true\n<b>\n```',
  '``` <img src=x onerror=window.__hacked=true>\ncode\n```',
  '<div style="background: url(https://tracker.example/x)">x</div>',
  '<p id="clobbered" name="getElementById">x</p>',
  '<!--><img src=x onerror="window.__hacked = true">-->',
  '- [ ] <img src=x onerror="window.__hacked = true">',
  '| a |\n|---|\n| <img src=x onerror="window.__hacked = true"> |',
  '<a href="&#106;avascript:window.__hacked=true">x</a>',
  '<https://ok.example/"onmouseover="window.__hacked=true>',
];

const ALLOWED_ATTRIBUTES: Record<string, string[]> = {
  A: ['href', 'title', 'target', 'rel'],
  CODE: ['class'],
  OL: ['start'],
  TH: ['align'],
  TD: ['align'],
  // What we add ourselves around code and tables.
  FIGURE: ['class', 'part'],
  FIGCAPTION: [],
  SPAN: [],
  BUTTON: ['type', 'class', 'aria-label'],
  PRE: ['tabindex', 'role', 'aria-label', 'dir'],
  DIV: ['class', 'tabindex', 'role', 'aria-label'],
};
const ALLOWED_TAGS = new Set(
  [
    ...['P', 'BR', 'HR', 'H1', 'H2', 'H3', 'H4', 'H5', 'H6', 'BLOCKQUOTE', 'UL', 'OL', 'LI', 'PRE', 'CODE', 'STRONG'],
    ...['EM', 'DEL', 'A', 'TABLE', 'THEAD', 'TBODY', 'TR', 'TH', 'TD', 'FIGURE', 'FIGCAPTION', 'SPAN', 'BUTTON', 'DIV'],
  ].values(),
);

function expectHarmless(container: Element): void {
  for (const element of container.querySelectorAll('*')) {
    expect(ALLOWED_TAGS.has(element.nodeName), `<${element.localName}>`).to.equal(true);
    for (const { name, value } of element.attributes) {
      expect(ALLOWED_ATTRIBUTES[element.nodeName] ?? [], `${element.localName} ${name}`).to.include(name);
      if (name === 'href') expect(value).to.match(/^(https?|mailto|tel):/);
      if (name === 'class' && element.nodeName === 'CODE') expect(value).to.match(/^language-[\w+#.-]+$/);
    }
    if (element.nodeName === 'A' && element.hasAttribute('href')) {
      expect(element.getAttribute('rel')).to.contain('noopener').and.contain('noreferrer');
      expect(element.getAttribute('target')).to.equal('_blank');
    }
  }
}

const DOCUMENT = `# Title

A paragraph with **bold**, *em*, \`code\` and a [link](https://example.org).
Second line.

1. one
2. two

   continued

- a

- loose b
  - nested

\`\`\`js
const x = 1;

const y = '\`\`';
\`\`\`

> quoted
> more

| a | b |
|---|:-:|
| 1 | 2 |

Setext
---

    indented code

    more of it

<b>raw</b> and &amp; entities

***

Last.`;

describe('markdown', () => {
  let box: HTMLElement;

  beforeEach(() => {
    box = document.createElement('div');
    document.body.append(box);
    delete (window as { __hacked?: boolean }).__hacked;
  });
  afterEach(() => box.remove());

  const show = (text: string): HTMLElement => {
    new MarkdownView(box).update(text, true);
    return box;
  };

  for (const text of HOSTILE) {
    it(`makes harmless: ${text.slice(0, 70)}`, async () => {
      expectHarmless(show(text));
      for (const clickable of box.querySelectorAll<HTMLElement>('p, li, td')) clickable.click();
      await new Promise((resolve) => setTimeout(resolve, 10));
      expect((window as { __hacked?: boolean }).__hacked).to.equal(undefined);
      expect(box.querySelector('img, iframe, script, style, object, svg, form')).to.equal(null);
    });
  }

  it('stays harmless at every step of a stream', () => {
    const view = new MarkdownView(box);
    const text = HOSTILE.join('\n\n');
    for (let end = 1; end <= text.length; end += 7) {
      view.update(text.slice(0, end), false);
      if (end % 21 === 1) expectHarmless(box);
    }
    view.update(text, true);
    expectHarmless(box);
    expect((window as { __hacked?: boolean }).__hacked).to.equal(undefined);
  });

  it('shows HTML as the text that it is', () => {
    expect(show('Write <b>bold</b> like this.').textContent?.trim()).to.equal('Write <b>bold</b> like this.');
  });

  it('renders blocks, code with its language, and tables', () => {
    show(DOCUMENT);
    expect(box.querySelector('h1')?.textContent).to.equal('Title');
    expect(box.querySelector('a')?.href).to.equal('https://example.org/');
    expect(box.querySelector('figure figcaption span')?.textContent).to.equal('js');
    expect(box.querySelector('figure pre')?.textContent).to.equal("const x = 1;\n\nconst y = '``';\n");
    expect(box.querySelectorAll('td')).to.have.length(2);
    expect(box.querySelector('ol')?.children).to.have.length(2);
    expect([...box.querySelectorAll('td')].map((cell) => cell.align)).to.deep.equal(['', 'center']);
    box.replaceChildren();
    expect(show('7. seven\n8. eight').querySelector('ol')?.start).to.equal(7);
  });

  it('the same document whether it comes whole or by single characters', () => {
    const whole = show(DOCUMENT).innerHTML;
    box.replaceChildren();
    const view = new MarkdownView(box);
    for (let end = 1; end <= DOCUMENT.length; end++) view.update(DOCUMENT.slice(0, end), false);
    view.update(DOCUMENT, true);
    const withoutGaps = (html: string) => html.replace(/>\s+</g, '><').trim();
    expect(withoutGaps(box.innerHTML)).to.equal(withoutGaps(whole));
  });

  it('leaves finished blocks alone while more arrives', () => {
    const view = new MarkdownView(box);
    view.update('First.\n\n```js\nx\n```\n\nSecond', false);
    const [first, code] = [box.querySelector('p'), box.querySelector('figure')];
    view.update('First.\n\n```js\nx\n```\n\nSecond and third.\n\nFourth', false);
    expect(box.querySelector('p')).to.equal(first);
    expect(box.querySelector('figure')).to.equal(code);
    expect(box.querySelectorAll('p')).to.have.length(3);
  });

  it('resolves a link that is defined at the end', () => {
    const view = new MarkdownView(box);
    const text = 'See [the page][p].\n\nMore.\n\n[p]: https://example.org/page\n';
    for (let end = 1; end <= text.length; end++) view.update(text.slice(0, end), false);
    view.update(text, true);
    expect(box.querySelector('a')?.href).to.equal('https://example.org/page');
    expect(box.querySelectorAll('p')).to.have.length(2);
  });

  it('starts anew when the text is another one', () => {
    const view = new MarkdownView(box);
    view.update('one\n\ntwo', true);
    view.update('three', true);
    expect(box.textContent?.trim()).to.equal('three');
  });

  it('bears lone surrogates, zeros and carriage returns', () => {
    expect(show('half \uD83D of an emoji').textContent).to.contain('half');
    const view = new MarkdownView(box);
    for (const text of ['a\r\n\r\nb', 'a\r\n\r\nb\r\n\r\n- c\0\r\n', '\uDC00', '\t\ttabs\n\n\tmore']) {
      view.update(text, true);
      expectHarmless(box);
    }
  });

  it('bears nesting without end', () => {
    for (const text of ['>'.repeat(20_000), '['.repeat(5000), '- '.repeat(3000) + 'x', '**'.repeat(4000) + 'x']) {
      const view = new MarkdownView(box);
      view.update(text, true);
      expectHarmless(box);
      expect(box.textContent?.length).to.be.greaterThan(0);
      box.replaceChildren();
    }
  });
});
