// Reads what a source file imports, by TypeScript's own parser. Used by architecture.test.ts.

import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

export const projectRoot = join(dirname(fileURLToPath(import.meta.url)), '../..');

export interface ModuleImport {
  /** The path of the imported file from the project's root, or the specifier of a package or of Node. */
  target: string;
  isFile: boolean;
  /** Erased by the compiler: it makes no dependency at run time. */
  isTypeOnly: boolean;
  isDynamic: boolean;
  line: number;
}

export interface SourceModule {
  /** From the project's root, with slashes. */
  path: string;
  lines: number;
  /** The comment lines with which the file opens. */
  head: string;
  imports: readonly ModuleImport[];
}

export function parseModule(path: string, text: string): SourceModule {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true);
  const imports: ModuleImport[] = [];
  const add = (node: ts.Node, specifier: string, isTypeOnly: boolean, isDynamic: boolean): void => {
    const isFile = specifier.startsWith('.');
    const target = isFile ? posix.join(posix.dirname(path), specifier) : specifier;
    const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
    imports.push({ target, isFile, isTypeOnly, isDynamic, line });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      add(node, node.moduleSpecifier.text, isTypeOnlyImport(node.importClause), false);
    } else if (ts.isExportDeclaration(node) && node.moduleSpecifier && ts.isStringLiteral(node.moduleSpecifier)) {
      add(node, node.moduleSpecifier.text, isTypeOnlyExport(node), false);
    } else if (
      ts.isImportTypeNode(node) &&
      ts.isLiteralTypeNode(node.argument) &&
      ts.isStringLiteral(node.argument.literal)
    ) {
      add(node, node.argument.literal.text, true, false);
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [argument] = node.arguments;
      // What is computed cannot be checked; it is reported as such.
      add(node, argument && ts.isStringLiteralLike(argument) ? argument.text : '(computed)', false, true);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  const lines = text.split('\n');
  const headEnd = lines.findIndex((line) => !line.startsWith('//'));
  return {
    path,
    lines: text.endsWith('\n') ? lines.length - 1 : lines.length,
    head: lines.slice(0, headEnd < 0 ? lines.length : headEnd).join('\n'),
    imports,
  };
}

function isTypeOnlyImport(clause: ts.ImportClause | undefined): boolean {
  if (!clause) return false;
  if (clause.isTypeOnly) return true;
  const { name, namedBindings } = clause;
  if (name || !namedBindings || !ts.isNamedImports(namedBindings)) return false;
  return namedBindings.elements.length > 0 && namedBindings.elements.every((element) => element.isTypeOnly);
}

function isTypeOnlyExport(node: ts.ExportDeclaration): boolean {
  if (node.isTypeOnly) return true;
  const { exportClause } = node;
  if (!exportClause || !ts.isNamedExports(exportClause)) return false;
  return exportClause.elements.length > 0 && exportClause.elements.every((element) => element.isTypeOnly);
}

/** Every TypeScript module under the folders, except generated ones, AssemblyScript and fixtures. */
export function readModules(folders: readonly string[]): SourceModule[] {
  return folders
    .flatMap((folder) => filesUnder(join(projectRoot, folder)))
    .map((file) => {
      const path = relative(projectRoot, file).replaceAll('\\', '/');
      return parseModule(path, readFileSync(file, 'utf8'));
    });
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory())
      return ['assembly', 'fixtures', 'node_modules'].includes(entry.name) ? [] : filesUnder(path);
    return entry.name.endsWith('.ts') && !/\.(generated|d)\.ts$/.test(entry.name) ? [path] : [];
  });
}
