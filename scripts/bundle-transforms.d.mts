/** A plugin of rollup, as far as tests need it. */
export interface TransformPlugin {
  name: string;
  transform(this: { error(message: string): never }, code: string, id: string): { code: string; map: null } | null;
}

/** A plugin of rollup that works on finished chunks. */
export interface ChunkPlugin {
  name: string;
  renderChunk(code: string): { code: string; map: null };
}

export function withoutReferences(): TransformPlugin;
export function compactTemplates(): TransformPlugin;
export function withoutUnusedComlink(): TransformPlugin;
export function letInsteadOfConst(): ChunkPlugin;
