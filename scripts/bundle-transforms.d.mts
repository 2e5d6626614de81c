/** A plugin of rollup, as far as tests need it. */
export interface TransformPlugin {
  name: string;
  transform(this: { error(message: string): never }, code: string, id: string): { code: string; map: null } | null;
}

export function withoutReferences(): TransformPlugin;
export function compactTemplates(): TransformPlugin;
