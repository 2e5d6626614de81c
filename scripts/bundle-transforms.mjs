// What the bundles leave out of the sources: the operations' references (the oracle of the tests, which nothing else may
// reach), and the comments and indentation of WGSL and CSS inside template strings, which no minifier of JavaScript sees.

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
      // Not around < and >, where a missing space can make a template of a comparison, nor around + - * and /.
      .replace(/ ?([=(){};,:]) ?/g, '$1')
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
