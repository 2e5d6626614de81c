// Who may import whom, as data. A layer is a set of paths; each names the layers and packages that it may use. What is not
// allowed is forbidden, for types too: a type is a thing known. `allowTypes` adds layers that may be known but not used.

import { WpError } from '../../runtime/errors.ts';

export interface Layer {
  /** A folder ends with a slash; anything else is a file. The longest match decides. */
  paths: readonly string[];
  allow: readonly string[];
  allowTypes?: readonly string[];
  packages?: readonly string[];
  /** Node's own modules: `static` in programs for Node, `dynamic` in what browsers load too. Default: never. */
  node?: 'static' | 'dynamic';
}

export const layers: Readonly<Record<string, Layer>> = {
  errors: { paths: ['runtime/errors.ts'], allow: [] },
  half: { paths: ['runtime/half.ts'], allow: [] },
  types: {
    paths: ['runtime/types.ts', 'runtime/encoder-info.ts', 'runtime/model.ts', 'runtime/tensors.ts'],
    allow: ['errors'],
  },

  // The model as data, and what it is computed with.
  quantization: { paths: ['runtime/quantization/'], allow: ['errors', 'half', 'types'] },
  calibration: {
    paths: ['runtime/quantization/calibration/'],
    allow: ['errors', 'types', 'graph', 'ops', 'quantization'],
    allowTypes: ['backend'],
  },
  evaluation: { paths: ['runtime/evaluation/'], allow: ['errors', 'types'] },
  ops: { paths: ['runtime/ops/'], allow: ['errors', 'half', 'types'], allowTypes: ['graph'] },
  graph: { paths: ['runtime/graph/'], allow: ['errors', 'half', 'types', 'ops'], allowTypes: ['quantization'] },
  models: { paths: ['runtime/models/'], allow: ['errors', 'types', 'graph'] },
  planning: { paths: ['runtime/planning/'], allow: ['errors', 'types', 'graph', 'ops', 'quantization'] },

  tuningStore: { paths: ['runtime/planning/tuning-store.ts'], allow: ['errors', 'types'], packages: ['idb-keyval'] },

  // Backends: each knows the contract, none knows another.
  backend: { paths: ['runtime/backends/backend.ts'], allow: ['errors', 'types', 'graph', 'quantization'] },
  webgpu: {
    paths: ['runtime/backends/webgpu/'],
    allow: ['errors', 'half', 'types', 'backend', 'ops', 'graph', 'quantization'],
  },
  wasm: {
    paths: ['runtime/backends/wasm/'],
    allow: ['errors', 'half', 'types', 'backend', 'ops', 'graph', 'quantization'],
    node: 'dynamic',
  },

  // Files for a runtime that is not ours. Its memory and devices are its own.
  onnx: { paths: ['runtime/onnx/'], allow: ['errors', 'types'], packages: ['onnxruntime-web'] },

  webnn: {
    paths: ['runtime/backends/webnn/'],
    allow: ['errors', 'half', 'types', 'backend', 'ops', 'graph', 'quantization'],
  },

  // Bytes.
  loading: { paths: ['runtime/loading/'], allow: ['errors', 'types'], packages: ['idb-keyval'], node: 'dynamic' },
  weights: {
    paths: ['runtime/weights/'],
    allow: ['errors', 'half', 'types', 'quantization', 'loading'],
    allowTypes: ['graph'],
  },

  // Words, and images. What a file says of its size is known to the element too, which draws before a model is there.
  imageHeader: { paths: ['runtime/processing/images/image-header.ts'], allow: [], allowTypes: ['processing'] },
  processing: {
    paths: ['runtime/processing/'],
    allow: ['errors', 'types', 'imageHeader'],
    packages: ['@huggingface/tokenizers', '@huggingface/jinja'],
  },
  generation: {
    paths: ['runtime/generation/'],
    allow: ['errors', 'types', 'processing'],
    allowTypes: ['backend', 'models'],
  },
  tasks: {
    paths: ['runtime/tasks/'],
    allow: ['errors', 'types', 'models', 'processing', 'generation'],
    allowTypes: ['backend'],
  },

  // The two sides of the port. Only the host knows both a backend and a model.
  protocol: { paths: ['runtime/protocol/'], allow: ['errors', 'types'] },
  capabilities: { paths: ['runtime/capabilities/'], allow: ['errors', 'types'], node: 'dynamic' },
  completions: { paths: ['runtime/tasks/completions.ts', 'runtime/tasks/similarity.ts'], allow: ['errors', 'types'] },
  search: { paths: ['runtime/search/'], allow: ['errors', 'types'] },
  page: {
    paths: [
      'runtime/client.ts',
      'runtime/connection.ts',
      'runtime/environment.ts',
      'runtime/index.ts',
      'runtime/node-worker.ts',
      'runtime/page-images.ts',
      'runtime/quantize.ts',
      'runtime/remote-encoder.ts',
      'runtime/remote-model.ts',
      'runtime/remote-tensors.ts',
      'runtime/spawned-worker.ts',
      'runtime/tuning.ts',
    ],
    allow: ['errors', 'types', 'protocol', 'completions', 'search', 'evaluation', 'tuningStore'],
    packages: ['comlink'],
    node: 'dynamic',
  },
  host: {
    paths: ['runtime/host.ts', 'runtime/host/'],
    allow: [
      'errors',
      'half',
      'types',
      'protocol',
      'capabilities',
      'quantization',
      'calibration',
      'evaluation',
      'ops',
      'graph',
      'models',
      'planning',
      'tuningStore',
      'backend',
      'webgpu',
      'webnn',
      'wasm',
      'onnx',
      'loading',
      'weights',
      'processing',
      'generation',
      'tasks',
    ],
    packages: ['comlink'],
    node: 'dynamic',
  },

  // The doors.
  workers: { paths: ['workers/'], allow: ['host', 'protocol'], packages: ['comlink'], node: 'dynamic' },
  components: {
    paths: ['components/'],
    allow: ['api', 'vectorIndex', 'drawnImage'],
    packages: ['lit', '@lit/context', 'marked', 'dompurify'],
  },
  drawnImage: { paths: ['components/internal/drawn-image.ts'], allow: ['api', 'imageHeader'] },
  vectorIndex: { paths: ['components/internal/vector-index.ts'], allow: ['api'], packages: ['idb-keyval'] },
  cli: { paths: ['cli/'], allow: ['api'], node: 'static' },
};

/** The one file of the page's side that elements and programs may import. */
export const publicApi = 'runtime/index.ts';

/** Big, and needed by few: reached by a dynamic import only. */
export const lazyPackages: readonly string[] = ['onnxruntime-web'];

export const maximumLines = 400;

/** With this sentence, a file's opening comment may explain why it is longer. */
export const lengthReason = /longer than 400 lines because/i;

/** The layer that a file belongs to. */
export function layerOf(path: string): string {
  let best: { name: string; length: number } | undefined;
  for (const [name, { paths }] of Object.entries(layers)) {
    for (const prefix of paths) {
      const matches = prefix.endsWith('/') ? path.startsWith(prefix) : path === prefix;
      if (matches && prefix.length > (best?.length ?? 0)) best = { name, length: prefix.length };
    }
  }
  if (best) return best.name;
  throw new WpError('internal', `${path} belongs to no layer.`, 'Add its folder to test/architecture/rules.ts.');
}
