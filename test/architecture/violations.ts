// Holds modules against the rules and says, for each violation, what stands where and what is allowed.

import type { ModuleImport, SourceModule } from '../support/module-imports.ts';
import { layerOf, layers, lazyPackages, lengthReason, maximumLines, publicApi, type Layer } from './rules.ts';

export function findImportViolations(modules: readonly SourceModule[]): string[] {
  const known = new Set(modules.map(({ path }) => path));
  return modules.flatMap((module) => {
    const name = layerOf(module.path);
    const layer = layers[name]!;
    return module.imports.flatMap((imported) => {
      const problem = imported.isFile
        ? fileProblem(name, layer, imported, known)
        : packageProblem(name, layer, imported);
      return problem ? [`${module.path}:${imported.line} imports ${imported.target}: ${problem}`] : [];
    });
  });
}

function fileProblem(
  name: string,
  layer: Layer,
  imported: ModuleImport,
  known: ReadonlySet<string>,
): string | undefined {
  if (/\.generated\.ts$/.test(imported.target)) return undefined;
  if (!known.has(imported.target)) return 'there is no such file among the sources';
  if (imported.target === publicApi && layer.allow.includes('api')) return undefined;
  const target = layerOf(imported.target);
  if (target === name || layer.allow.includes(target)) return undefined;
  if (imported.isTypeOnly && layer.allowTypes?.includes(target)) return undefined;
  const types = layer.allowTypes ? `; types also of ${layer.allowTypes.join(', ')}` : '';
  return `${name} may use ${layer.allow.join(', ') || 'nothing'}${types}, but not ${target}`;
}

function packageProblem(name: string, layer: Layer, imported: ModuleImport): string | undefined {
  const { target, isTypeOnly, isDynamic } = imported;
  if (target === '(computed)') return undefined;
  const parts = target.split('/');
  const packageName = target.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0]!;
  if (target.startsWith('node:')) {
    if (isTypeOnly || layer.node === 'static' || (layer.node === 'dynamic' && isDynamic)) return undefined;
    return layer.node === 'dynamic' ? 'Node’s modules are imported dynamically here' : `${name} does not know Node`;
  }
  if (lazyPackages.includes(packageName) && !isDynamic && !isTypeOnly) return 'it is imported dynamically only';
  if (layer.packages?.includes(packageName)) return undefined;
  return `${name} may use the packages ${layer.packages?.join(', ') ?? '(none)'}`;
}

/** Cycles of imports that exist at run time; each as the path that closes it. */
export function findCycles(modules: readonly SourceModule[]): string[] {
  const edges = new Map(
    modules.map(({ path, imports }) => [
      path,
      imports.filter(({ isFile, isTypeOnly }) => isFile && !isTypeOnly).map(({ target }) => target),
    ]),
  );
  const cycles: string[] = [];
  const finished = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) {
      cycles.push([...trail.slice(start), path].join(' → '));
      return;
    }
    if (finished.has(path)) return;
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path]);
    finished.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
  return cycles;
}

export function findLongFiles(modules: readonly SourceModule[]): string[] {
  return modules
    .filter(({ lines, head }) => lines > maximumLines && !lengthReason.test(head))
    .map(
      ({ path, lines }) =>
        `${path} has ${lines} lines; ${maximumLines} are allowed. Split it, or say in its head "longer than ${maximumLines} lines because …".`,
    );
}
