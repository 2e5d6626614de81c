// Which of the names that a tensor may have a checkpoint uses. Programs name the same tensor differently: with or without the
// prefix of a task's model (`bert.`), by old spellings (`LayerNorm.gamma`), before and after a library renamed its modules.

/** Names of a module, the usual one first; `{i}` is the layer. */
export type ModuleName = readonly string[];

const SPELLINGS: Readonly<Record<string, readonly string[]>> = { weight: ['weight', 'gamma'], bias: ['bias', 'beta'] };

export class TensorNamer {
  /**
   * `present`: the checkpoint's tensors; without it every module has its usual name and the first prefix. `prefixes` in the
   * order in which they are tried.
   */
  constructor(
    private readonly prefixes: readonly string[],
    private readonly present: ReadonlySet<string> | undefined,
    private readonly layer?: number,
  ) {}

  at(layer: number): TensorNamer {
    return new TensorNamer(this.prefixes, this.present, layer);
  }

  /** The tensor `leaf` ('weight', 'bias', or '' for a parameter of its own) of a module; the usual name when none is there. */
  name(module: ModuleName, leaf: string): string {
    const names = this.#candidates(module, leaf);
    return names.find((name) => this.present?.has(name)) ?? names[0]!;
  }

  /** True when the checkpoint is known and has it. */
  has(module: ModuleName, leaf: string): boolean {
    return this.#candidates(module, leaf).some((name) => this.present?.has(name));
  }

  #candidates(module: ModuleName, leaf: string): string[] {
    const leaves = leaf === '' ? [''] : (SPELLINGS[leaf] ?? [leaf]).map((spelling) => `.${spelling}`);
    return this.prefixes.flatMap((prefix) =>
      module.flatMap((name) => leaves.map((end) => prefix + name.replace('{i}', String(this.layer)) + end)),
    );
  }
}
