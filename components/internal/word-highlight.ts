// Marks words in the page's own nodes without changing them, by the CSS Custom Highlight API; where a browser lacks it, nothing
// is marked. All elements share one highlight and one style of the document: `::highlight(wp-embed)`.

const NAME = 'wp-embed';
const canHighlight = typeof Highlight !== 'undefined' && 'highlights' in CSS;

export class WordHighlight {
  #ranges: Range[] = [];

  /** Marks every word of the query, three letters or longer, in these elements; earlier marks go. */
  show(query: string, elements: readonly Element[]): void {
    this.clear();
    const words = query.toLocaleLowerCase().match(/[\p{L}\p{N}]{3,}/gu) ?? [];
    if (!canHighlight || words.length === 0) return;
    const highlight = shared();
    for (const element of elements) {
      const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const text = (node.textContent ?? '').toLocaleLowerCase();
        // Lower case of another length ("İ"): places would not be those of the text.
        if (text.length !== node.textContent?.length) continue;
        for (const word of words) {
          for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) {
            const range = new Range();
            range.setStart(node, at);
            range.setEnd(node, at + word.length);
            highlight.add(range);
            this.#ranges.push(range);
          }
        }
      }
    }
  }

  clear(): void {
    if (!canHighlight) return;
    for (const range of this.#ranges) CSS.highlights.get(NAME)?.delete(range);
    this.#ranges = [];
  }
}

function shared(): Highlight {
  const existing = CSS.highlights.get(NAME);
  if (existing) return existing;
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`::highlight(${NAME}) { background-color: color-mix(in oklab, #e0b04f 45%, transparent); }`);
  // First, so that the page's own rule wins.
  document.adoptedStyleSheets.unshift(sheet);
  const highlight = new Highlight();
  CSS.highlights.set(NAME, highlight);
  return highlight;
}
