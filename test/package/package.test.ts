// The package as its users get it: packed, unpacked into an empty project, imported in Node, type-checked, and asked for an
// answer. Nothing is downloaded: the dependencies are linked from this checkout. Needs dist/, which `npm test` builds.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { projectRoot } from '../support/module-imports.ts';

const run = promisify(execFile);

interface PackedFile {
  path: string;
  size: number;
}

describe('the packed package', () => {
  let consumer: string;
  let files: PackedFile[];

  before(async () => {
    consumer = await mkdtemp(join(tmpdir(), 'wp-models-consumer-'));
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
    const { stdout } = await run(npm, ['pack', '--ignore-scripts', '--json', '--pack-destination', consumer], {
      cwd: projectRoot,
      maxBuffer: 2 ** 24,
      shell: process.platform === 'win32',
    });
    const [packed] = JSON.parse(stdout) as [{ filename: string; files: PackedFile[] }];
    files = packed.files;
    const target = join(consumer, 'node_modules/wp-models');
    await mkdir(target, { recursive: true });
    await run('tar', ['-xzf', join(consumer, packed.filename), '-C', target, '--strip-components=1']);
    await linkDependencies();
    await writeFile(
      join(consumer, 'package.json'),
      JSON.stringify({ name: 'consumer', type: 'module', private: true }),
    );
  });

  after(() => rm(consumer, { recursive: true, force: true }));

  async function linkDependencies(): Promise<void> {
    const { dependencies } = JSON.parse(await readFile(join(projectRoot, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    for (const name of Object.keys(dependencies)) {
      const link = join(consumer, 'node_modules', name);
      await mkdir(dirname(link), { recursive: true });
      await symlink(join(projectRoot, 'node_modules', name), link, 'junction');
    }
  }

  /** Runs a module of the consumer's and returns what it printed. */
  async function node(text: string): Promise<string> {
    const file = join(consumer, 'main.js');
    await writeFile(file, text);
    const { stdout } = await run(process.execPath, [file], { cwd: consumer, timeout: 300_000 });
    return stdout.trim();
  }

  /** The package's command, as `npx wp-models` starts it. */
  function command(...args: string[]): Promise<{ stdout: string; stderr: string }> {
    const child = run(process.execPath, [join(consumer, 'node_modules/wp-models/dist/cli.js'), ...args], {
      cwd: consumer,
      timeout: 300_000,
    });
    child.child.stdin?.end();
    return child;
  }

  it('holds what it needs, and nothing else', () => {
    const paths = files.map(({ path }) => path);
    for (const wanted of [
      'LICENSE',
      'README.md',
      'CHANGELOG.md',
      'custom-elements.json',
      'dist/index.js',
      'dist/elements.js',
      'dist/embed.js',
      'dist/vision.js',
      'dist/model.worker.js',
      'dist/cli.js',
      'dist/server/elements.js',
      'dist/server/embed.js',
      'dist/server/vision.js',
      'dist/types/runtime/index.d.ts',
      'dist/types/components/index.d.ts',
      'dist/types/components/embed.d.ts',
      'dist/types/components/vision.d.ts',
      'dist/models/fable-25m/config.json',
      'dist/models/fable-25m/tokenizer.json',
    ]) {
      assert.ok(paths.includes(wanted), `${wanted} is missing`);
    }
    const expected = /^(?:LICENSE|README\.md|CHANGELOG\.md|package\.json|custom-elements\.json|dist\/.+)$/;
    assert.deepEqual(
      paths.filter((path) => !expected.test(path)),
      [],
    );
    assert.deepEqual(
      paths.filter((path) => /\.test\.|\/test\/|\.map$|(?<!\.d)\.ts$/.test(path)),
      [],
    );
  });

  it('ships the embedded model in about 12 MB', () => {
    const model = files.filter(({ path }) => path.startsWith('dist/models/fable-25m/'));
    const bytes = model.reduce((sum, { size }) => sum + size, 0);
    assert.ok(bytes > 5e6 && bytes < 16e6, `${bytes} bytes`);
    assert.ok(
      model.some(({ path }) => /README|MODEL_CARD|LICENSE|NOTICE/i.test(path)),
      'the model has no card',
    );
  });

  it('can be imported in Node without doing anything', async () => {
    const text = `
      const names = () => Object.getOwnPropertyNames(globalThis);
      const before = names();
      const api = await import('wp-models');
      const afterApi = names();
      const elements = {
        ...(await import('wp-models/elements')),
        ...(await import('wp-models/embed')),
        ...(await import('wp-models/vision')),
      };
      console.log(JSON.stringify({
        api: typeof api.loadModel,
        elements: Object.keys(elements),
        byApi: afterApi.filter((name) => !before.includes(name)),
        byElements: names().filter((name) => !afterApi.includes(name)),
      }));`;
    const result = JSON.parse(await node(text)) as Record<'elements' | 'byApi' | 'byElements', string[]> & {
      api: string;
    };
    assert.equal(result.api, 'function');
    for (const name of ['WpChat', 'WpEmbed', 'WpVision']) assert.ok(result.elements.includes(name), name);
    assert.deepEqual(result.byApi, []);
    // Lit counts its editions, and brings Node a shim of what it extends.
    const ofLit =
      /^(?:lit\w+|reactiveElementVersions|HTMLElement|Element|EventTarget|customElements|CustomElementRegistry)$/;
    assert.deepEqual(
      result.byElements.filter((name) => !ofLit.test(name)),
      [],
    );
  });

  for (const [moduleResolution, module] of [
    ['bundler', 'esnext'],
    ['nodenext', 'nodenext'],
  ] as const) {
    it(`has types that a strict project accepts (moduleResolution ${moduleResolution})`, async () => {
      const folder = join(consumer, `types-${moduleResolution}`);
      await mkdir(folder);
      await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
      await writeFile(
        join(folder, 'tsconfig.json'),
        JSON.stringify({
          compilerOptions: {
            target: 'ES2022',
            module,
            moduleResolution,
            strict: true,
            noEmit: true,
            lib: ['ES2023', 'DOM', 'DOM.Iterable'],
            types: [],
          },
          files: ['use.ts'],
        }),
      );
      await writeFile(
        join(folder, 'use.ts'),
        `import { loadModel, WpError, type ChatPart, type Model } from 'wp-models';
         import { WpChat } from 'wp-models/elements';
         import { WpEmbed } from 'wp-models/embed';
         import { WpVision, type VisionTask } from 'wp-models/vision';
         export async function use(): Promise<string> {
           const model: Model = await loadModel('wp:fable-25m', { onProgress: ({ loadedBytes }) => loadedBytes.toFixed() });
           let text = '';
           for await (const part of model.chat([{ role: 'user', content: 'Hello' }])) {
             const typed: ChatPart = part;
             if (!typed.done) text += typed.text;
             else text += typed.usage.totalTokens.toFixed();
           }
           const completion = await model.chat.completions.create({ messages: [], stream: false });
           return text + completion.choices[0].message.content;
         }
         export const element: WpChat | null = document.querySelector('wp-chat');
         export const search: WpEmbed | null = document.querySelector('wp-embed');
         export const task: VisionTask | undefined = (document.querySelector('wp-vision') satisfies WpVision | null)?.task;
         // @ts-expect-error a role that does not exist
         export const bad: Parameters<Model['chat']>[0] = [{ role: 'robot', content: '' }];
         export const code: 'aborted' | string = new WpError('network', 'x').code;`,
      );
      const tsc = join(projectRoot, 'node_modules/typescript/bin/tsc');
      await run(process.execPath, [tsc, '-p', folder]).catch((error: { stdout: string }) => assert.fail(error.stdout));
    });
  }

  it('says its version and its help on the command line', async () => {
    const { version } = JSON.parse(await readFile(join(projectRoot, 'package.json'), 'utf8')) as { version: string };
    assert.equal((await command('--version')).stdout, `${version}\n`);
    assert.match((await command('chat', '--help')).stdout, /^Usage: wp-models chat/);
  });

  it('answers on the command line, from the embedded model, the same for the same seed', async () => {
    const ask = ['chat', '--prompt', 'Tell me a story about a fox.', '--max-tokens', '12', '--seed', '7', '--json'];
    const [first, second] = [await command(...ask), await command(...ask)].map(
      ({ stdout }) => JSON.parse(stdout) as { text: string; finishReason: string; usage: { completionTokens: number } },
    );
    assert.ok(first!.text.trim().length > 0);
    assert.equal(first!.text, second!.text);
    assert.ok(first!.usage.completionTokens > 0 && first!.usage.completionTokens <= 12);
  });

  it('answers through the API in Node, and lets the process end', async () => {
    const text = `
      import { loadModel } from 'wp-models';
      const model = await loadModel('wp:fable-25m');
      let text = '';
      for await (const part of model.chat([{ role: 'user', content: 'Hello' }], { maxTokens: 8, temperature: 0 })) text += part.text;
      await model.dispose();
      console.log(JSON.stringify({ text, backend: model.info.plan.backend }));`;
    const { text: answer, backend } = JSON.parse(await node(text)) as { text: string; backend: string };
    assert.ok(answer.trim().length > 0);
    assert.equal(backend, 'wasm');
  });

  it('fails on the command line with a code, a reason and a hint', async () => {
    const failure = await command('chat', '--prompt', 'x', '--model', './no-such-folder/').then(
      () => assert.fail('it succeeded'),
      (error: { code: number; stderr: string }) => error,
    );
    assert.equal(failure.code, 1);
    assert.match(failure.stderr, /^not-found: .*no-such-folder/);
  });
});
