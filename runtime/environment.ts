// Where the runtime's own files are: the worker's script and the folder of the embedded models. Both lie beside the bundle
// by default; a page that serves them from elsewhere says so once with `configureRuntime`.

export interface RuntimeConfiguration {
  /** The module that workers start from. Default: `model.worker.js` beside the bundle. */
  workerUrl?: string | URL | undefined;
  /** The folder that `wp:name` sources are looked up in. Default: `models/` beside the bundle. */
  embeddedBase?: string | URL | undefined;
}

const configuration: RuntimeConfiguration = {};

/** Sets where the runtime's own files are. Call it before the first model is loaded. */
export function configureRuntime(values: RuntimeConfiguration): void {
  Object.assign(configuration, values);
}

export function workerUrl(): URL {
  return new URL(configuration.workerUrl ?? './model.worker.js', import.meta.url);
}

export function embeddedBase(): string {
  const base = new URL(configuration.embeddedBase ?? './models/', import.meta.url).href;
  return base.endsWith('/') ? base : `${base}/`;
}
