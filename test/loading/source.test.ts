import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { WpError } from '../../runtime/errors.ts';
import { openModelFiles } from '../../runtime/loading/open-files.ts';
import { parseSource } from '../../runtime/loading/source.ts';

const parse = (source: string, embeddedBase = 'https://cdn.test/wp-models/models') =>
  parseSource(source, { embeddedBase });
const hub = 'https://huggingface.co/org/name/resolve/';

describe('sources', () => {
  const http: [string, { folder: string; weightsName?: string; query?: string }][] = [
    ['org/name', { folder: `${hub}main/` }],
    [' org/name ', { folder: `${hub}main/` }],
    ['org/name@v1.0', { folder: `${hub}v1.0/` }],
    ['org/name@refs/pr/3', { folder: `${hub}refs%2Fpr%2F3/` }],
    ['https://huggingface.co/org/name', { folder: `${hub}main/` }],
    ['https://huggingface.co/org/name/tree/dev', { folder: `${hub}dev/` }],
    [
      'https://huggingface.co/org/name/blob/main/sub/model.safetensors',
      { folder: `${hub}main/sub/`, weightsName: 'model.safetensors' },
    ],
    ['https://x.test/m', { folder: 'https://x.test/m/' }],
    ['https://x.test/m/', { folder: 'https://x.test/m/' }],
    ['https://x.test', { folder: 'https://x.test/' }],
    ['http://localhost:8080/a%20b/config.json', { folder: 'http://localhost:8080/a%20b/' }],
    [
      'https://x.test/m/a.safetensors?sig=1',
      { folder: 'https://x.test/m/', weightsName: 'a.safetensors', query: '?sig=1' },
    ],
    [
      'https://x.test/m/w.safetensors.index.json',
      { folder: 'https://x.test/m/', weightsName: 'w.safetensors.index.json' },
    ],
    [
      'https://x.test/m/model-00002-of-00003.safetensors',
      { folder: 'https://x.test/m/', weightsName: 'model.safetensors.index.json' },
    ],
    ['https://x.test/m/a.gguf?sig=1', { folder: 'https://x.test/m/', weightsName: 'a.gguf', query: '?sig=1' }],
    ['org/name/q4.gguf', { folder: `${hub}main/`, weightsName: 'q4.gguf' }],
    ['org/name@v1/sub/Q4_K-00001-of-00002.GGUF', { folder: `${hub}v1/sub/`, weightsName: 'Q4_K-00001-of-00002.GGUF' }],
    [
      'https://huggingface.co/o/n/blob/main/q4.gguf',
      { folder: `${hub}main/`.replace('org/name', 'o/n'), weightsName: 'q4.gguf' },
    ],
    ['https://x.test/m/a.onnx?sig=1', { folder: 'https://x.test/m/', weightsName: 'a.onnx', query: '?sig=1' }],
    ['https://x.test/m/onnx/model_q4.onnx', { folder: 'https://x.test/m/', weightsName: 'onnx/model_q4.onnx' }],
    ['org/name/onnx/model.onnx', { folder: `${hub}main/`, weightsName: 'onnx/model.onnx' }],
    ['https://x.test/onnx/a.onnx', { folder: 'https://x.test/', weightsName: 'onnx/a.onnx' }],
    ['wp:fable-25m', { folder: 'https://cdn.test/wp-models/models/fable-25m/' }],
  ];
  for (const [source, expected] of http) {
    it(source, () => {
      const { description: _, ...parsed } = parse(source) as Extract<ReturnType<typeof parse>, { kind: 'http' }>;
      assert.deepEqual(parsed, { kind: 'http', query: '', weightsName: undefined, ...expected });
    });
  }

  for (const [source, folder] of [
    ['/models/a', '/models/a/'],
    ['./a/model.safetensors', './a/'],
    ['../a/', '../a/'],
    ['C:\\models\\a', 'C:/models/a/'],
    ['file:///models/a', 'file:///models/a/'],
    ['./models/a.gguf', './models/'],
    ['/a/b.GGUF', '/a/'],
    ['/a/onnx/b.onnx', '/a/'],
  ] as const) {
    it(`path ${source}`, () => {
      const parsed = parse(source);
      assert.equal(parsed.kind, 'path');
      assert.equal('folder' in parsed && parsed.folder, folder);
    });
  }

  it('wp: in Node lies in a folder', () => {
    assert.deepEqual(parse('wp:x', '/package/models'), {
      kind: 'path',
      folder: '/package/models/x/',
      weightsName: undefined,
      description: 'wp:x',
    });
  });

  for (const source of [
    '',
    '   ',
    'name',
    'a/b/c',
    'org/name@',
    'org/../name',
    '-a/b',
    'wp:',
    'wp:../x',
    'wp:A',
    'ftp://x/y',
    'data:text/plain,x',
    'https://',
    'https://me:secret@x.test/m',
    'org name/x',
    'javascript:alert(1)',
    'a.gguf',
    'a.onnx',
    'org/name.gguf',
    'org/name/../x.gguf',
  ]) {
    it(`refuses ${JSON.stringify(source)}`, () => {
      assert.throws(
        () => parse(source),
        (thrown: unknown) =>
          thrown instanceof WpError && thrown.code === 'invalid-source' && /Hugging Face id/.test(thrown.hint),
      );
    });
  }
  for (const source of [
    'https://x.test/a.ort?x=1',
    '/a/b.TFLITE',
    'a.pt',
    'https://huggingface.co/o/n/blob/main/model.h5',
    'https://x.test/pytorch_model.bin',
  ]) {
    it(`does not read ${source} yet`, () => {
      assert.throws(
        () => parse(source),
        (thrown: unknown) =>
          thrown instanceof WpError &&
          thrown.code === 'unsupported-format' &&
          /does not read \.\w+ files yet/.test(thrown.message),
      );
    });
  }
});

describe('chosen files', () => {
  const file = (path: string, text: string): File =>
    Object.defineProperty(new File([text], path.split('/').pop()!), 'webkitRelativePath', { value: path });

  it('are found by their path in the folder', async () => {
    const files = await openModelFiles(
      parseSource([file('m/sub/x.json', '1'), file('m/config.json', '{"a":1}')], { embeddedBase: '' }),
    );
    assert.deepEqual(await (await files.open('config.json'))!.readJson(), { a: 1 });
    assert.equal(await (await files.open('sub/x.json'))!.readText(), '1');
    assert.equal(await files.open('x.json'), undefined);
    assert.deepEqual([...(await (await files.open('config.json'))!.readRange(1, 4))], [0x22, 0x61, 0x22]);
  });
  it('are a GGUF file, alone or in parts, but not two models', async () => {
    const weightsName = async (...names: string[]): Promise<string | undefined> => {
      const dropped = names.map((name) => file(name, ''));
      return (await openModelFiles(parseSource(dropped, { embeddedBase: '' }))).weightsName;
    };
    assert.equal(await weightsName('a.gguf'), 'a.gguf');
    assert.equal(
      await weightsName('README.md', 'm/b-00002-of-00002.gguf', 'm/b-00001-of-00002.gguf'),
      'b-00001-of-00002.gguf',
    );
    assert.equal(await weightsName('m/config.json', 'm/model.safetensors', 'm/a.gguf'), 'model.safetensors');
    await assert.rejects(
      () => weightsName('a.gguf', 'b.gguf'),
      (thrown: unknown) => thrown instanceof WpError && thrown.code === 'invalid-source',
    );
  });
  it('are an ONNX file, wherever it lies; of several variants the plan chooses', async () => {
    const weightsName = async (...names: string[]): Promise<string | undefined> => {
      const dropped = names.map((name) => file(name, ''));
      return (await openModelFiles(parseSource(dropped, { embeddedBase: '' }))).weightsName;
    };
    assert.equal(await weightsName('a.onnx'), 'a.onnx');
    assert.equal(await weightsName('m/config.json', 'm/onnx/model.onnx'), 'onnx/model.onnx');
    assert.equal(await weightsName('m/config.json', 'm/onnx/model.onnx', 'm/onnx/model_q4.onnx'), undefined);
    assert.equal(await weightsName('m/model.safetensors', 'm/onnx/model.onnx'), 'model.safetensors');
  });
  it('of another kind are refused, and none at all, too', () => {
    assert.throws(
      () => parseSource([file('a.tflite', '')], { embeddedBase: '' }),
      (thrown: unknown) => thrown instanceof WpError && thrown.code === 'unsupported-format',
    );
    assert.throws(
      () => parseSource([], { embeddedBase: '' }),
      (thrown: unknown) => thrown instanceof WpError && thrown.code === 'invalid-source',
    );
  });
});

describe('a folder of this machine', () => {
  it('is read by path and by file: URL; missing files are undefined', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'wp-models-'));
    try {
      await writeFile(join(folder, 'config.json'), '{"a":"ü"}');
      for (const source of [folder, pathToFileURL(folder).href]) {
        const files = await openModelFiles(parse(source));
        const config = await files.open('config.json');
        assert.deepEqual(await config!.readJson(), { a: 'ü' });
        assert.deepEqual([...(await config!.readRange(1, 3))], [0x22, 0x61]);
        assert.equal(await files.open('tokenizer.json'), undefined);
        await assert.rejects(
          config!.readRange(0, 100),
          (thrown: unknown) => thrown instanceof WpError && thrown.code === 'corrupt-file',
        );
        await assert.rejects(config!.readRange(0, 3, AbortSignal.abort()), { name: 'AbortError' });
        await files.close();
        await assert.rejects(
          files.open('config.json'),
          (thrown: unknown) => thrown instanceof WpError && thrown.code === 'disposed',
        );
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
