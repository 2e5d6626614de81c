// Understands what a person wrote as `src`: a hub id, a URL, `wp:name`, a path (in Node) or dropped files. Nothing is
// fetched here; open-files.ts turns the result into files.

import { WpError } from '../errors.ts';

export type ParsedSource =
  | {
      kind: 'http';
      /** Ends with '/'. */
      folder: string;
      /** Appended to each file's URL: '' or '?…' (a signature, say). */
      query: string;
      weightsName: string | undefined;
      description: string;
    }
  | { kind: 'path'; folder: string; weightsName: string | undefined; description: string }
  | { kind: 'files'; files: readonly File[]; description: string };

export interface SourceContext {
  /** The folder that `wp:` models lie in: a URL, or in Node a path. */
  embeddedBase: string;
}

const hint =
  'Allowed are: a Hugging Face id ("HuggingFaceTB/SmolLM2-135M-Instruct", with "@revision" if needed), the URL of a folder ' +
  'or of its config.json or model.safetensors ("https://example.com/models/fable/"), a GGUF or ONNX file by its URL or by its name ' +
  'in a hub repository ("org/name/model-Q4_K_M.gguf"), an embedded model ("wp:fable-25m"), or the files of a folder.';

const hubHost = 'https://huggingface.co/';
const hubName = '[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?';
const hubId = new RegExp(`^(${hubName})/(${hubName})(?:@([A-Za-z0-9][A-Za-z0-9._/-]*))?$`);
/** A file of a repository; the revision, if any, has no slash then. */
const hubFile = new RegExp(
  `^(${hubName})/(${hubName})(?:@([A-Za-z0-9][A-Za-z0-9._-]*))?/([^?#\\\\]+\\.(?:gguf|onnx))$`,
  'i',
);
const ggufFile = /\.gguf$/i;
const onnxFile = /\.onnx$/i;
/** A page of the hub, as people copy it from the address bar. */
const hubPage =
  /^https:\/\/(?:www\.)?huggingface\.co\/([^/?#]+)\/([^/?#]+)(?:\/(?:tree|blob|resolve)\/([^/?#]+)((?:\/[^?#]*)?))?\/?(?:[?#].*)?$/;

export function parseSource(source: string | readonly File[], context: SourceContext): ParsedSource {
  if (typeof source !== 'string') return parseFiles(source);
  const text = source.trim();
  if (text === '') throw invalid(source, 'is empty');

  if (/^wp:/.test(text)) {
    const name = text.slice(3);
    if (!/^[a-z0-9][a-z0-9._-]*$/.test(name))
      throw invalid(source, 'does not name an embedded model: "wp:" is followed by a name such as "fable-25m"');
    const base = context.embeddedBase.replace(/\/*$/, '/');
    return { ...parseLocation(`${base}${name}/`, source), description: text };
  }
  if (/^[a-z][a-z0-9+.-]+:/i.test(text) || isPath(text)) return parseLocation(text, source);

  refuseUnreadable(text, source);
  const file = text.includes('..') ? null : hubFile.exec(text);
  if (file) {
    const { folder, weightsName } = splitFile(file[4]!, source);
    return hubFolder(`${file[1]}/${file[2]}`, file[3] ?? 'main', folder, weightsName);
  }
  if (ggufFile.test(text) || onnxFile.test(text)) {
    throw invalid(
      source,
      'names a file, but neither its path ("./model.gguf") nor its repository ("org/name/model.gguf")',
    );
  }
  const id = hubId.exec(text);
  if (!id || text.includes('..')) throw invalid(source, 'is neither a hub id nor a URL');
  return hubFolder(`${id[1]}/${id[2]}`, id[3] ?? 'main', '', undefined);
}

function isPath(text: string): boolean {
  return /^(?:\.{0,2}\/|\.{1,2}$|[A-Za-z]:[\\/])/.test(text);
}

function hubFolder(id: string, revision: string, subfolder: string, weightsName: string | undefined): ParsedSource {
  const folder = `${hubHost}${id}/resolve/${encodeURIComponent(revision)}/${subfolder}`;
  return { kind: 'http', folder, query: '', weightsName, description: revision === 'main' ? id : `${id}@${revision}` };
}

function parseLocation(text: string, source: string): ParsedSource {
  const page = hubPage.exec(text);
  if (page && page[1] !== 'datasets' && page[1] !== 'spaces') {
    const { folder, weightsName } = splitFile(page[4] ? page[4].slice(1) : '', source);
    return hubFolder(`${page[1]}/${page[2]}`, decodeURIComponent(page[3] ?? 'main'), folder, weightsName);
  }
  if (isPath(text)) {
    const path = text.replaceAll('\\', '/');
    return { kind: 'path', ...splitFile(path, source), description: text };
  }
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw invalid(source, 'is not a valid URL');
  }
  const { folder, weightsName } = splitFile(url.pathname, source);
  if (url.protocol === 'file:') {
    return { kind: 'path', folder: `file://${url.host}${folder}`, weightsName, description: text };
  }
  // Blob URLs name one file and can't be a folder; data: URLs would be whole models inside an attribute.
  if (url.protocol !== 'http:' && url.protocol !== 'https:' && !url.protocol.endsWith('-extension:')) {
    throw invalid(source, `has the scheme "${url.protocol}", which models cannot be loaded from`);
  }
  const authority = url.username ? `${url.username}${url.password ? `:${url.password}` : ''}@${url.host}` : url.host;
  if (authority !== url.host)
    throw invalid(source, 'carries a user name or password; pass them with the option `headers`');
  return {
    kind: 'http',
    folder: `${url.protocol}//${url.host}${folder}`,
    query: url.search,
    weightsName,
    description: text,
  };
}

/** Splits 'a/b/model.safetensors' into the folder 'a/b/' and what the name says about the weights. */
function splitFile(path: string, source: string): { folder: string; weightsName: string | undefined } {
  const slash = path.lastIndexOf('/');
  const last = path.slice(slash + 1);
  refuseUnreadable(last, source);
  const parent = path.slice(0, slash + 1);
  const shard = /^(.*)-\d{5}-of-\d{5}\.safetensors$/.exec(last);
  if (shard) return { folder: parent, weightsName: decode(`${shard[1]}.safetensors.index.json`) };
  if (/\.safetensors(?:\.index\.json)?$/.test(last)) return { folder: parent, weightsName: decode(last) };
  if (ggufFile.test(last)) return { folder: parent, weightsName: decode(last) };
  if (onnxFile.test(last)) {
    // Exports lie in onnx/, and what belongs to them lies above it.
    const folder = parent.replace(/(^|\/)onnx\/$/, '$1');
    return { folder, weightsName: parent.slice(folder.length) + decode(last) };
  }
  if (/\.json$/.test(last)) return { folder: parent, weightsName: undefined };
  return { folder: last === '' ? path : `${path}/`, weightsName: undefined };
}

function decode(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

function parseFiles(files: readonly File[]): ParsedSource {
  if (files.length === 0) throw invalid('(no files)', 'is empty');
  const weights = files.filter((file) => /\.safetensors(?:\.index\.json)?$/.test(file.name));
  const models = new Set(files.filter(({ name }) => ggufFile.test(name)).map(({ name }) => wholeGgufName(name)));
  if (weights.length === 0 && models.size > 1) {
    throw invalid(
      `${files.length} files`,
      `holds ${models.size} GGUF models (${[...models].slice(0, 3).join(', ')}, …): choose one`,
    );
  }
  const hasOnnx = files.some(({ name }) => onnxFile.test(name));
  if (weights.length === 0 && models.size === 0 && !hasOnnx)
    for (const file of files) refuseUnreadable(file.name, file.name);
  const description = files.length === 1 ? files[0]!.name : `${files.length} files (${files[0]!.name}, …)`;
  return { kind: 'files', files, description };
}

/** What the parts of a split GGUF file have in common. */
function wholeGgufName(name: string): string {
  return name.replace(/-\d{5}-of-\d{5}(?=\.gguf$)/i, '');
}

/** `unsupported-format` for the files that people will try and that this version cannot read. */
function refuseUnreadable(name: string, source: string): void {
  const match = /\.(ort|bin|pt|pth|ckpt|tflite|litertlm|task|h5)$/i.exec(name);
  if (!match) return;
  const kind = match[1]!.toLowerCase();
  throw new WpError(
    'unsupported-format',
    `"${source}" is a .${kind} file; this version of wp-models does not read .${kind} files yet.`,
    'Use the same model as a GGUF or ONNX file, or as a safetensors folder: config.json, tokenizer.json and model.safetensors.',
    { source, actual: `.${kind}`, allowed: ['.gguf', '.onnx', '.safetensors', '.safetensors.index.json'] },
  );
}

function invalid(source: string, why: string): WpError {
  return new WpError('invalid-source', `The source "${source}" ${why}.`, hint, { actual: source });
}
