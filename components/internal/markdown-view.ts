// Markdown that grows, in a container. A block that has another block after it is finished: it is rendered once and its
// nodes are never touched again, so a selection in it stays and its cost is paid once. Only the last block is parsed
// and rendered anew when text arrives.

import type { Token } from 'marked';
import { decorateCodeBlocks } from './code-block.ts';
import { parseBlocks, renderBlocks } from './markdown.ts';

const REFERENCE_DEFINITION = /^ {0,3}\[[^\]\n]+\]:\s/m;

export class MarkdownView {
  #text = '';
  /** Where in the text the unfinished block begins. */
  #tailStart = 0;
  #tailNodes: ChildNode[] = [];

  constructor(readonly container: HTMLElement) {}

  /** Shows `text`. `isComplete` says that it will not grow any more. */
  update(text: string, isComplete: boolean): void {
    if (text !== this.#text) {
      if (!text.startsWith(this.#text)) this.#reset();
      this.#text = text;
      this.#renderTail();
    }
    // A link reference may be defined below its use: only the whole text knows.
    if (isComplete && this.#tailStart > 0 && REFERENCE_DEFINITION.test(text)) {
      this.#reset();
      this.#text = text;
      this.#replaceTail(parseBlocks(text), text);
    }
  }

  #renderTail(): void {
    const tail = this.#text.slice(this.#tailStart);
    const blocks = parseBlocks(tail);
    const lastBlock = blocks.findLastIndex((block) => block.type !== 'space');
    const finished = blocks.slice(0, Math.max(0, lastBlock));
    const finishedLength = finished.reduce((length, block) => length + block.raw.length, 0);
    // marked normalises line ends and tabs: where its pieces are not the text's pieces, nothing is called finished.
    const isExact = finished.length > 0 && tail.startsWith(finished.map((block) => block.raw).join(''));
    if (!isExact) {
      this.#replaceTail(blocks, tail);
      return;
    }
    this.#replaceTail(finished, tail.slice(0, finishedLength));
    this.#tailNodes = [];
    this.#tailStart += finishedLength;
    this.#replaceTail(blocks.slice(lastBlock), tail.slice(finishedLength));
  }

  #replaceTail(blocks: Token[], text: string): void {
    for (const node of this.#tailNodes) node.remove();
    const fragment = renderBlocks(blocks, text);
    decorateCodeBlocks(fragment);
    this.#tailNodes = [...fragment.childNodes];
    this.container.append(fragment);
  }

  #reset(): void {
    this.#text = '';
    this.#tailStart = 0;
    this.#tailNodes = [];
    this.container.replaceChildren();
  }
}
