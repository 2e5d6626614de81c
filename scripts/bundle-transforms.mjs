// What the bundles leave out of the sources: the operations' references (the oracle of the tests, which nothing else may
// reach), the comments and indentation of WGSL and CSS inside template strings, which no minifier of JavaScript sees, what
// Comlink could do and the protocol does not use, and the difference between `const` and `let`.

import { parseAst } from 'rollup/parseAst';
import ts from 'typescript';

/** Applies replacements, last first, so that the positions of the others stay right. */
function replaceAll(code, replacements) {
  let result = code;
  for (const { start, end, text } of replacements.sort((a, b) => b.start - a.start)) {
    result = result.slice(0, start) + text + result.slice(end);
  }
  return result;
}

/** Drops the method `reference` from every OperationDefinition of runtime/ops/. */
export function withoutReferences() {
  return {
    name: 'without-references',
    transform(code, id) {
      if (!/\/runtime\/ops\/[\w-]+\.ts$/.test(id)) return null;
      const source = ts.createSourceFile(id, code, ts.ScriptTarget.ESNext, true);
      const dropped = [];
      const visit = (node) => {
        const isReference = ts.isMethodDeclaration(node) && node.body && node.name.getText(source) === 'reference';
        if (isReference && ts.isObjectLiteralExpression(node.parent)) {
          const comma = code[node.end] === ',' ? 1 : 0;
          dropped.push({ start: node.getFullStart(), end: node.end + comma, text: '' });
        } else ts.forEachChild(node, visit);
      };
      visit(source);
      if (dropped.length === 0 && /:\s*OperationDefinition<'/.test(code)) {
        this.error(`${id} defines an operation, but no method \`reference\` was found to be left out.`);
      }
      return dropped.length > 0 ? { code: replaceAll(code, dropped), map: null } : null;
    },
  };
}

/** The literal pieces of a template, as written, with their places in the file. */
function pieces(template, source) {
  const parts = ts.isNoSubstitutionTemplateLiteral(template)
    ? [template]
    : [template.head, ...template.templateSpans.map(({ literal }) => literal)];
  return parts.map((part) => {
    const text = part.getText(source);
    const closes = text.endsWith('`');
    const start = part.getStart(source) + 1;
    // `…${ and }…${ end with two characters of punctuation, the last piece with one.
    return { start, end: part.end - (closes ? 1 : 2), isLast: closes };
  });
}

/** A comment that runs on into an interpolation must keep its slashes, or what is interpolated would become code. */
function compactWgsl(text, isLast) {
  return (
    text
      .replace(/\/\/[^\n]*(\n|$)/g, (comment, lineEnd) => (lineEnd === '' && !isLast ? comment : lineEnd))
      .replace(/[ \t]+$/gm, (spaces, at) => (at + spaces.length === text.length ? spaces : ''))
      .replace(/\n[ \t]+/g, '\n')
      .replace(/\n{2,}/g, '\n')
      .replace(/ ?([=(){};,:]) ?/g, '$1')
      // Only between operands: in `a - -b`, `a & &b` and `a / *b` the space keeps two operators apart.
      .replace(/(?<=[\w)\]]) ?([-+*/%&|^<>=!]+) ?(?=[\w(])/g, '$1')
  );
}

function compactCss(text) {
  return text
    .replace(/\/\*[^]*?\*\//g, '')
    .replace(/\s*\n\s*/g, ' ')
    .replace(/ {2,}/g, ' ')
    .replace(/ ?([{};,]) ?/g, '$1');
}

/** White space with a line break in it is worth one line break, in tags and between them; no template has a `pre`'s text. */
const compactHtml = (text) => text.replace(/[ \t]*\n\s*/g, '\n');

const COMPACT_BY_TAG = { css: compactCss, html: compactHtml, svg: compactHtml };

/** Takes comments and indentation out of the templates of *.wgsl.ts, css`…`, html`…` and svg`…`. */
export function compactTemplates() {
  return {
    name: 'compact-templates',
    transform(code, id) {
      if (id.includes('/node_modules/') || !id.endsWith('.ts')) return null;
      const isWgsl = id.endsWith('.wgsl.ts');
      if (!isWgsl && !/\b(?:css|html|svg)`/.test(code)) return null;
      const source = ts.createSourceFile(id, code, ts.ScriptTarget.ESNext, true);
      const replacements = [];
      const visit = (node) => {
        const tag = node.parent && ts.isTaggedTemplateExpression(node.parent) ? node.parent.tag.getText(source) : '';
        if (ts.isTemplateExpression(node) || ts.isNoSubstitutionTemplateLiteral(node)) {
          const compact = COMPACT_BY_TAG[tag] ?? (isWgsl && tag === '' ? compactWgsl : undefined);
          for (const { start, end, isLast } of compact ? pieces(node, source) : []) {
            replacements.push({ start, end, text: compact(code.slice(start, end), isLast) });
          }
        }
        ts.forEachChild(node, visit);
      };
      visit(source);
      // A template inside another's interpolation lies between the pieces of the outer one: no two overlap.
      return replacements.length > 0 ? { code: replaceAll(code, replacements), map: null } : null;
    },
  };
}

/**
 * What of Comlink never runs here: runtime/protocol/messages.ts knows only calls of the host's methods, whose arguments and
 * answers are data and ports. Without the handler of proxies in arguments, `expose` and `wrap` no longer need each other, so
 * that the page gets the one and the worker the other.
 */
const COMLINK_UNUSED = [
  /\["proxy", proxyTransferHandler\],\n/,
  /case "SET"[^]*?break;\n/,
  /case "CONSTRUCT"[^]*?break;\n/,
  /case "ENDPOINT"[^]*?break;\n/,
];

/** Drops the parts of Comlink that the protocol does not use; fails when another version of it reads differently. */
export function withoutUnusedComlink() {
  return {
    name: 'without-unused-comlink',
    transform(code, id) {
      if (!/\/node_modules\/comlink\/dist\/esm\/comlink\.mjs$/.test(id)) return null;
      let kept = code;
      for (const unused of COMLINK_UNUSED) {
        if (!unused.test(kept)) this.error(`${id} has no ${String(unused)}: look at what this version brings.`);
        kept = kept.replace(unused, '');
      }
      return { code: kept, map: null };
    },
  };
}

/** Calls `visit` for the node and everything under it. */
function walk(node, visit) {
  visit(node);
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) if (typeof child?.type === 'string') walk(child, visit);
  }
}

/**
 * Makes `let` of every `const` in a finished chunk. The two differ only where a constant is assigned to, which the compiler
 * forbids in our sources and rollup reports in all; so one word stands where two alternated, which is shorter, compresses
 * better, and lets the minifier join neighbouring declarations.
 */
export function letInsteadOfConst() {
  return {
    name: 'let-instead-of-const',
    renderChunk(code) {
      const replacements = [];
      walk(parseAst(code), ({ type, kind, start }) => {
        if (type !== 'VariableDeclaration' || kind !== 'const') return;
        replacements.push({ start, end: start + 'const'.length, text: 'let' });
      });
      return { code: replaceAll(code, replacements), map: null };
    },
  };
}
