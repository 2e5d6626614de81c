// Code that only some devices or models need: downloaded before anything is lowered, there at once from then on.

import { WpError } from '../../errors.ts';

export class LazyModule<Module> {
  readonly #what: string;
  readonly #import: () => Promise<Module>;
  #loaded: Module | undefined;

  constructor(what: string, load: () => Promise<Module>) {
    this.#what = what;
    this.#import = load;
  }

  async load(): Promise<Module> {
    this.#loaded ??= await this.#import();
    return this.#loaded;
  }

  /** Throws before `load` has resolved. */
  get(): Module {
    if (this.#loaded) return this.#loaded;
    throw new WpError('internal', `${this.#what} was chosen before it was loaded.`, 'Please report this.');
  }
}
