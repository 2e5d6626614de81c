// The command line without a process: arguments in, words and exit codes out, with a model that says what it was asked. The
// real model on the real command line is in test/package.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { run } from '../../cli/run.ts';
import { editDistance, suggest } from '../../cli/suggest.ts';
import { formatBytes, formatProgress, type Terminal } from '../../cli/terminal.ts';
import {
  WpError,
  type ChatMessage,
  type ChatOptions,
  type ChatPart,
  type LoadOptions,
  type Model,
  type ModelSource,
} from '../../runtime/index.ts';

interface Asked {
  messages: readonly ChatMessage[] | string;
  options: ChatOptions | undefined;
}

/** A terminal of strings. `lines` are typed one after another, `piped` is what stdin holds. */
function fakeTerminal({ lines, piped = '' }: { lines?: string[]; piped?: string } = {}) {
  const state = { out: '', notes: '', interrupt: undefined as (() => void) | undefined };
  const terminal: Terminal = {
    isInteractive: lines !== undefined,
    write: (text) => void (state.out += text),
    note: (text) => void (state.notes += text),
    status: () => undefined,
    readLine: () => Promise.resolve(lines?.shift()),
    readAll: () => Promise.resolve(piped),
    onInterrupt: (action) => void (state.interrupt = action),
    close: () => undefined,
  };
  return { terminal, state };
}

const end: Extract<ChatPart, { done: true }> = {
  done: true,
  text: '',
  finishReason: 'stop',
  usage: { promptTokens: 3, completionTokens: 2, totalTokens: 5, cachedPromptTokens: 0 },
  timing: { timeToFirstTokenMs: 1, promptTokensPerSecond: 1, tokensPerSecond: 42, totalMs: 2 },
};

/** A model that answers `say`, and remembers what it was asked and how it was loaded. */
function fakeModel(say: (options: ChatOptions | undefined) => string[] = () => ['Once ', 'upon.']) {
  const asked: Asked[] = [];
  const loads: { source: ModelSource; options: LoadOptions | undefined }[] = [];
  let disposed = 0;
  async function* answer(
    messages: Asked['messages'],
    options: ChatOptions | undefined,
  ): AsyncIterableIterator<ChatPart> {
    asked.push({ messages, options });
    for (const text of say(options)) {
      await Promise.resolve();
      options?.signal?.throwIfAborted();
      yield { done: false, text };
    }
    yield end;
  }
  const model = {
    info: {
      source: 'wp:fake',
      modelType: 'llama',
      parameters: 20_700_000,
      layers: 8,
      maxContextLength: 2048,
      notice: 'It tells stories.',
      plan: {
        backend: 'wasm',
        backendDescription: 'WASM, 2 threads',
        precision: '4bit',
        bitsPerWeight: 4.5,
        contextLength: 1024,
        threads: 2,
        memory: { weights: 12e6, keyValueCache: 3e6, activations: 1e6, total: 16e6 },
        downloadBytes: 12_345_678,
        reasons: [{ topic: 'backend', reason: 'There is no WebGPU in Node.' }],
      },
    },
    chat: (messages: readonly ChatMessage[], options?: ChatOptions) => answer(messages, options),
    complete: (text: string, options?: ChatOptions) => answer(text, options),
    memory: () =>
      Promise.resolve({ actual: { weights: 12e6, keyValueCache: 3e6, activations: 1e6, other: 5e5, total: 165e5 } }),
    dispose: () => {
      disposed += 1;
      return Promise.resolve();
    },
  } as unknown as Model;
  const load = (source: ModelSource, options?: LoadOptions): Promise<Model> => {
    loads.push({ source, options });
    return Promise.resolve(model);
  };
  return { load, asked, loads, disposed: () => disposed };
}

const refuseToLoad = (): Promise<Model> => Promise.reject(new Error('no model was to be loaded'));

async function refused(...args: string[]): Promise<{ code: number; notes: string }> {
  const { terminal, state } = fakeTerminal();
  return { code: await run(args, terminal, refuseToLoad), notes: state.notes };
}

describe('wp-models', () => {
  it('prints its help, with the commands that exist', async () => {
    const { terminal, state } = fakeTerminal();
    assert.equal(await run(['--help'], terminal, refuseToLoad), 0);
    assert.match(state.out, /chat .*\n {2}plan /);
    assert.doesNotMatch(state.out, /shaders|kv-cache/);
  });

  it('asks for a command when none is given', async () => {
    const { code, notes } = await refused();
    assert.equal(code, 2);
    assert.match(notes, /^Usage:/);
  });

  it('prints its version', async () => {
    const { terminal, state } = fakeTerminal();
    assert.equal(await run(['--version'], terminal, refuseToLoad), 0);
    assert.match(state.out, /^\d+\.\d+\.\d+\n$/);
  });

  const mistakes: Record<string, [args: string[], says: RegExp]> = {
    'an unknown command, with the one that was meant': [['caht'], /Unknown command "caht"\. Did you mean "chat"\?/],
    'a command like nothing else': [['shaders'], /Unknown command "shaders"\.\n/],
    'a name that every object has': [['constructor'], /Unknown command "constructor"/],
    'an unknown option, with the one that was meant': [
      ['chat', '--temprature', '1'],
      /--temprature\. Did you mean --temperature\?/,
    ],
    'a number that is none': [['chat', '--temperature', 'hot'], /--temperature is "hot"; a number is needed/],
    'an empty number': [['chat', '--top-p='], /--top-p is ""; a number is needed/],
    'a fraction for a count': [['chat', '--max-tokens', '1.5'], /--max-tokens is "1.5"; an integer is needed/],
    'a precision that does not exist': [
      ['chat', '--precision', '5bit'],
      /allowed are auto, 2bit, 3bit, 4bit, 8bit, f16/,
    ],
    'a missing value': [['chat', '--model'], /--model/],
    'a stray word': [['chat', 'hello'], /Unexpected argument "hello"/],
    'a prompt of nothing': [['chat', '--prompt', '  '], /The prompt is empty/],
    'nothing piped in': [['chat'], /The prompt is empty/],
    'a model given twice': [['plan', 'a/b', '--model', 'c/d'], /given twice/],
  };
  for (const [title, [args, says]] of Object.entries(mistakes)) {
    it(`refuses ${title}`, async () => {
      const { code, notes } = await refused(...args);
      assert.equal(code, 2);
      assert.match(notes, says);
      assert.match(notes, /See: wp-models/);
    });
  }

  it('shows a WpError by code, message and hint', async () => {
    const { terminal, state } = fakeTerminal();
    const load = (): Promise<Model> =>
      Promise.reject(new WpError('not-found', 'There is no model.', 'Look elsewhere.'));
    assert.equal(await run(['chat', '-p', 'x'], terminal, load), 1);
    assert.equal(state.notes, 'not-found: There is no model.\nLook elsewhere.\n');
  });

  it('shows where an unexpected error happened', async () => {
    const { terminal, state } = fakeTerminal();
    assert.equal(await run(['chat', '-p', 'x'], terminal, () => Promise.reject(new TypeError('odd'))), 1);
    assert.match(state.notes, /^internal: odd\n[^]*TypeError: odd\n {4}at /);
  });

  it('ends quietly when the load is aborted', async () => {
    const { terminal, state } = fakeTerminal();
    const load = (_source: ModelSource, options?: LoadOptions): Promise<Model> =>
      new Promise((_resolve, reject) => {
        options?.signal?.addEventListener('abort', () => reject(new DOMException('Aborted', 'AbortError')));
        state.interrupt?.();
      });
    assert.equal(await run(['chat', '-p', 'x'], terminal, load), 130);
    assert.equal(state.notes, 'Stopped.\n');
  });
});

describe('wp-models chat', () => {
  it('answers a prompt once, with every option passed on', async () => {
    const { terminal, state } = fakeTerminal();
    const { load, asked, loads, disposed } = fakeModel();
    const args =
      'chat --prompt Hello --system Short. --model a/b --temperature 0 --top-k 5 --top-p 0.5 --min-p 0.1 --seed -3 ' +
      '--repetition-penalty 1.1 --max-tokens 9 --stop x --stop y --precision 8bit --context 256 --threads 1';
    assert.equal(await run(args.split(' '), terminal, load), 0);
    assert.equal(state.out, 'Once upon.\n');
    assert.equal(loads[0]!.source, 'a/b');
    const { precision, contextLength, threads } = loads[0]!.options!;
    assert.deepEqual({ precision, contextLength, threads }, { precision: '8bit', contextLength: 256, threads: 1 });
    assert.deepEqual(asked[0]!.messages, [
      { role: 'system', content: 'Short.' },
      { role: 'user', content: 'Hello' },
    ]);
    const { signal, ...options } = asked[0]!.options!;
    assert.ok(signal instanceof AbortSignal);
    assert.deepEqual(options, {
      maxTokens: 9,
      temperature: 0,
      topK: 5,
      topP: 0.5,
      minP: 0.1,
      repetitionPenalty: 1.1,
      seed: -3,
      stop: ['x', 'y'],
    });
    assert.equal(disposed(), 1);
  });

  it('takes the embedded model by default, and the prompt from stdin', async () => {
    const { terminal } = fakeTerminal({ piped: 'What is\na harbour?\n' });
    const { load, asked, loads } = fakeModel();
    assert.equal(await run(['chat'], terminal, load), 0);
    assert.equal(loads[0]!.source, 'wp:fable-25m');
    assert.deepEqual(asked[0]!.messages, [{ role: 'user', content: 'What is\na harbour?' }]);
  });

  it('continues a text without a template', async () => {
    const { terminal } = fakeTerminal();
    const { load, asked } = fakeModel();
    assert.equal(await run(['chat', '--complete', '-p', 'Once'], terminal, load), 0);
    assert.equal(asked[0]!.messages, 'Once');
  });

  it('prints one JSON object with --json', async () => {
    const { terminal, state } = fakeTerminal();
    assert.equal(await run(['chat', '--json', '-p', 'x'], terminal, fakeModel().load), 0);
    const result = JSON.parse(state.out) as Record<string, unknown>;
    assert.deepEqual(result, {
      model: 'wp:fake',
      text: 'Once upon.',
      finishReason: 'stop',
      usage: end.usage,
      timing: end.timing,
    });
  });

  it('frees the model when an answer fails', async () => {
    const { terminal, state } = fakeTerminal();
    const model = fakeModel(() => {
      throw new WpError('context-overflow', 'Too long.', 'Say less.');
    });
    assert.equal(await run(['chat', '-p', 'x'], terminal, model.load), 1);
    assert.match(state.notes, /context-overflow: Too long\.\nSay less\./);
    assert.equal(model.disposed(), 1);
  });

  it('converses: remembers, forgets on /clear, leaves on /exit', async () => {
    const { terminal, state } = fakeTerminal({ lines: ['One', '', 'Two', '/clear', 'Three', '/exit', 'never'] });
    const { load, asked } = fakeModel();
    assert.equal(await run(['chat', '--system', 'S'], terminal, load), 0);
    const contents = asked.map(({ messages }) => (messages as ChatMessage[]).map(({ content }) => content));
    assert.deepEqual(contents, [
      ['S', 'One'],
      ['S', 'One', 'Once upon.', 'Two'],
      ['S', 'Three'],
    ]);
    assert.match(state.notes, /It tells stories\./);
    assert.match(state.notes, /\[2 tokens, 42\.0 a second\]/);
  });

  it('stops an answer on Ctrl-C, keeps what was said, and goes on', async () => {
    const { terminal, state } = fakeTerminal({ lines: ['One', 'Two'] });
    const { load, asked } = fakeModel(function* () {
      yield 'Once ';
      state.interrupt?.();
      yield 'upon.';
    } as unknown as () => string[]);
    assert.equal(await run(['chat'], terminal, load), 0);
    assert.match(state.notes, /\[stopped\]/);
    const second = asked[1]!.messages as ChatMessage[];
    assert.deepEqual(second[1], { role: 'assistant', content: 'Once ' });
  });

  it('ends with 130 when the one answer is stopped', async () => {
    const { terminal, state } = fakeTerminal();
    const { load } = fakeModel(function* () {
      yield 'Once ';
      state.interrupt?.();
      yield 'upon.';
    } as unknown as () => string[]);
    assert.equal(await run(['chat', '-p', 'x'], terminal, load), 130);
    assert.equal(state.out, 'Once \n');
  });
});

describe('wp-models plan', () => {
  it('prints what was decided, and why', async () => {
    const { terminal, state } = fakeTerminal();
    const { load, loads, disposed } = fakeModel();
    assert.equal(await run(['plan', 'a/b'], terminal, load), 0);
    assert.equal(loads[0]!.source, 'a/b');
    assert.match(state.out, /precision +4bit, 4\.50 bits a weight/);
    assert.match(state.out, /memory planned +16\.0 MB: weights 12\.0 MB/);
    assert.match(state.out, /backend: There is no WebGPU in Node\./);
    assert.equal(disposed(), 1);
  });

  it('prints JSON', async () => {
    const { terminal, state } = fakeTerminal();
    assert.equal(await run(['plan', '--json'], terminal, fakeModel().load), 0);
    const result = JSON.parse(state.out) as { plan: { threads: number }; memory: unknown };
    assert.equal(result.plan.threads, 2);
    assert.ok(result.memory);
  });
});

describe('words of the command line', () => {
  it('counts edits', () => {
    assert.equal(editDistance('', 'abc'), 3);
    assert.equal(editDistance('kitten', 'sitting'), 3);
    assert.equal(editDistance('caht', 'chat'), 1);
    assert.equal(editDistance('same', 'same'), 0);
  });

  it('suggests only what is near', () => {
    assert.equal(suggest('pln', ['chat', 'plan']), 'plan');
    assert.equal(suggest('xyz', ['chat', 'plan']), undefined);
    assert.equal(suggest('x', []), undefined);
  });

  it('writes bytes and progress for people', () => {
    assert.deepEqual([0, 999, 1000, 12_345_678, 4.2e9, 999e15].map(formatBytes), [
      '0 B',
      '999 B',
      '1.0 KB',
      '12.3 MB',
      '4.2 GB',
      '999000 TB',
    ]);
    const progress = {
      phase: 'downloading' as const,
      loadedBytes: 5e6,
      totalBytes: 2e7,
      bytesPerSecond: 1e6,
      secondsLeft: 14.2,
      file: 'model.safetensors',
      cachedBytes: 0,
    };
    assert.equal(formatProgress(progress), 'Loading model.safetensors: 5.0 MB of 20.0 MB (25 %) at 1.0 MB/s 15 s left');
    assert.equal(formatProgress({ ...progress, phase: 'ready' }), '');
  });
});
