// What a model writes, as safe DOM. Markdown is parsed by marked, with raw HTML shown as the text that it is, and what
// comes out still passes DOMPurify with a short list of allowed tags. Images become links: fetching one would tell its
// server what the model wrote.

import DOMPurify from 'dompurify';
import { Marked, type Token, type TokensList } from 'marked';

const ALLOWED_TAGS = [
  ...['p', 'br', 'hr', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'blockquote', 'ul', 'ol', 'li', 'pre', 'code'],
  ...['strong', 'em', 'del', 'a', 'table', 'thead', 'tbody', 'tr', 'th', 'td'],
];
const ALLOWED_ATTRIBUTES = ['href', 'title', 'start', 'align', 'class'];
const LANGUAGE_CLASS = /^language-[\w+#.-]{1,40}$/;

const markdown = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text }) => escapeHtml(text),
    image: ({ href, text }) => `<a href="${escapeHtml(href)}">${escapeHtml(text || href)}</a>`,
    checkbox: ({ checked }) => (checked ? '☑ ' : '☐ '),
  },
});

let purifier: typeof DOMPurify | undefined;

/** An instance of our own: its hooks must not change what the page does with DOMPurify. */
function getPurifier(): typeof DOMPurify {
  if (purifier) return purifier;
  purifier = DOMPurify(window);
  purifier.addHook('uponSanitizeAttribute', (node, attribute) => {
    if (attribute.attrName !== 'class') return;
    attribute.keepAttr = node.nodeName === 'CODE' && LANGUAGE_CLASS.test(attribute.attrValue);
  });
  purifier.addHook('afterSanitizeAttributes', (node) => {
    if (node.nodeName !== 'A') return;
    node.setAttribute('target', '_blank');
    node.setAttribute('rel', 'noopener noreferrer nofollow');
  });
  return purifier;
}

/** The blocks of a Markdown text. Text that defeats the parser (nesting without end) comes back as one paragraph. */
export function parseBlocks(text: string): TokensList | Token[] {
  try {
    return markdown.lexer(text);
  } catch {
    return [plainParagraph(text)];
  }
}

/** Blocks as a sanitised fragment. */
export function renderBlocks(blocks: Token[], text: string): DocumentFragment {
  let html: string;
  try {
    html = markdown.parser(blocks);
  } catch {
    html = `<p>${escapeHtml(text)}</p>`; // nested so deeply that the renderer's own recursion gives up
  }
  return getPurifier().sanitize(html, {
    ALLOWED_TAGS,
    ALLOWED_ATTR: ALLOWED_ATTRIBUTES,
    ADD_URI_SAFE_ATTR: ['align', 'start'], // their values are no addresses
    ALLOWED_URI_REGEXP: /^(?:https?|mailto|tel):/i,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
}

function plainParagraph(text: string): Token {
  return { type: 'paragraph', raw: text, text, tokens: [{ type: 'text', raw: text, text, escaped: false }] } as Token;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
