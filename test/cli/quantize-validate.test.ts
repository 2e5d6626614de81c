// `quantize` and `validate` without a runtime: what they ask of it, what they write, how they end.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import type { Quantize } from '../../cli/quantize.ts';
import { run } from '../../cli/run.ts';
import type { Terminal } from '../../cli/terminal.ts';
import { WpError, type Model, type QuantizeOptions } from '../../runtime/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'cli-'));
after(() => rmSync(folder, { recursive: true }));

function fakeTerminal() {
  const state = { out: '', notes: '' };
  const terminal: Terminal = {
    isInteractive: false,
    write: (text) => void (state.out += text),
    note: (text) => void (state.notes += text),
    status: () => undefined,
    readLine: () => Promise.resolve(undefined),
    readAll: () => Promise.resolve(''),
    onInterrupt: () => undefined,
    close: () => undefined,
  };
  return { terminal, state };
}

const header = Uint8Array.of(1, 2, 3, 4);
const body = [Uint8Array.of(5, 6), Uint8Array.of(7, 8), Uint8Array.of(9)];

/** Writes a header and three tensors; stops before the tensor `failsAt`. Goes on from a state of the same method. */
function fakeQuantize(failsAt = Infinity) {
  const asked: QuantizeOptions[] = [];
  const written: number[] = [];
  const quantize: Quantize = async (_source, options) => {
    asked.push(options);
    const file = options.output === 'gguf' ? `${options.name}.gguf` : 'model.safetensors';
    const plan = { file, totalBytes: 9, bitsPerWeight: 2.6, formats: { a: 'q2k' }, reasons: ['asked for'] };
    const method = options.method ?? 'search';
    const before = options.state && new TextDecoder().decode(options.state);
    const restart = before === undefined || before === method ? undefined : `its method was ${before}`;
    const answered = await options.onPlan!({ ...plan, header, restart });
    const done = restart === undefined ? answered : 0;
    await options.onState!(new TextEncoder().encode(method));
    if (options.output === 'safetensors') await options.write!('config.json', 0, new TextEncoder().encode('{}'));
    if (done < header.length) await options.write!(file, 0, header);
    let at = header.length;
    for (const [i, bytes] of body.entries()) {
      if (i === failsAt) throw new WpError('network', 'The line went dead.');
      if (at + bytes.length > done) {
        await options.write!(file, at, bytes);
        written.push(i);
      }
      at += bytes.length;
    }
    return { ...plan, files: [] };
  };
  return { quantize, asked, written };
}

const noModel = (): Promise<Model> => Promise.reject(new Error('no model is loaded'));
const quantizeRun = (args: string[], quantize: Quantize, terminal: Terminal): Promise<number> =>
  run(['quantize', ...args], terminal, noModel, quantize);

describe('wp-models quantize', () => {
  it('passes its options on, and writes the file', async () => {
    const { quantize, asked } = fakeQuantize();
    const { terminal, state } = fakeTerminal();
    const out = join(folder, 'a.gguf');
    const text = join(folder, 'text.txt');
    writeFileSync(text, 'Once upon a time');
    const args = ['org/name', '-b', '2', '--mixed', '--role', 'embedding=16', '--layer', 'layers.0.*=8'];
    const code = await quantizeRun([...args, '--calibrate', text, '--budget', '9.5MB', '-o', out], quantize, terminal);
    assert.equal(code, 0, state.notes);
    const { bits, mixedPrecision, perLayer, calibration, budgetBytes, output, name } = asked[0]!;
    assert.deepEqual(
      { bits, mixedPrecision, perLayer, calibration, budgetBytes, output, name },
      {
        bits: 2,
        mixedPrecision: { embedding: 16 },
        perLayer: { 'layers.0.*': 8 },
        calibration: 'Once upon a time',
        budgetBytes: 9_500_000,
        output: 'gguf',
        name: 'name',
      },
    );
    assert.deepEqual([...readFileSync(out)], [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.match(state.out, /a\.gguf: 9 B, 2\.60 bits a weight/);
    const device = ['--calibrate', text, '--budget', 'device', '-o', join(folder, 'device.gguf')];
    assert.equal(await quantizeRun(['org/name', ...device], quantize, fakeTerminal().terminal), 0);
    assert.equal(asked[1]!.budgetBytes, 'device');
    assert.ok(!existsSync(`${out}.part`));
    const again = fakeTerminal();
    assert.equal(await quantizeRun(['org/name', '-o', out], quantize, again.terminal), 1);
    assert.match(again.state.notes, /is there already/);
  });

  it('goes on where an interrupted run stopped', async () => {
    const out = join(folder, 'b.gguf');
    const { terminal, state } = fakeTerminal();
    assert.equal(await quantizeRun(['m', '-o', out], fakeQuantize(2).quantize, terminal), 1);
    assert.match(state.notes, /network: The line went dead/);
    assert.ok(!existsSync(out));
    const { quantize, written } = fakeQuantize();
    assert.equal(await quantizeRun(['m', '-o', out], quantize, terminal), 0);
    assert.deepEqual(written, [2]);
    assert.match(state.notes, /Going on: 8 B of 9 B/);
    assert.deepEqual([...readFileSync(out)], [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.ok(!existsSync(`${out}.part.state`));
  });

  it('begins anew over another run’s beginning', async () => {
    const out = join(folder, 'c.gguf');
    writeFileSync(`${out}.part`, Uint8Array.of(9, 9, 9, 9, 9, 9));
    const { quantize, written } = fakeQuantize();
    const { terminal, state } = fakeTerminal();
    assert.equal(await quantizeRun(['m', '-o', out], quantize, terminal), 0);
    assert.deepEqual(written, [0, 1, 2]);
    assert.match(state.notes, /begins anew: nothing says how it was made/);
  });

  it('begins anew with another method, and says so', async () => {
    const out = join(folder, 'd.gguf');
    assert.equal(await quantizeRun(['m', '-o', out], fakeQuantize(2).quantize, fakeTerminal().terminal), 1);
    const { quantize, written } = fakeQuantize();
    const { terminal, state } = fakeTerminal();
    assert.equal(await quantizeRun(['m', '-o', out, '--method', 'hqq'], quantize, terminal), 0);
    assert.deepEqual(written, [0, 1, 2]);
    assert.match(state.notes, /begins anew: its method was search/);
    assert.deepEqual([...readFileSync(out)], [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('writes a folder, and JSON', async () => {
    const out = join(folder, 'model');
    const { terminal, state } = fakeTerminal();
    assert.equal(await quantizeRun(['m', '-o', out, '--json'], fakeQuantize().quantize, terminal), 0);
    assert.equal(readFileSync(join(out, 'config.json'), 'utf8'), '{}');
    assert.equal(readFileSync(join(out, 'model.safetensors')).length, 9);
    assert.deepEqual((JSON.parse(state.out) as { formats: unknown }).formats, { a: 'q2k' });
  });

  it('says what is wrong with a command line', async () => {
    const wrong: [string[], RegExp][] = [
      [[], /Which model/],
      [['m', '--role', 'embedding=8'], /--role needs --mixed/],
      [['m', '--layer', 'x'], /name=bits is needed/],
      [['m', '--budget', 'much'], /a size such as/],
      [['m', '--method', 'magic'], /allowed are search/],
    ];
    for (const [args, message] of wrong) {
      const { terminal, state } = fakeTerminal();
      assert.equal(await quantizeRun(args, fakeQuantize().quantize, terminal), 2);
      assert.match(state.notes, message);
    }
  });
});

/** A model of four tokens whose logits favour the next letter by `sure`; the reference is surer. */
function fakeModel(sure: number): Model {
  const model = {
    info: { plan: { precision: 'f16', bitsPerWeight: 16, memory: { weights: 1e6 } } },
    tokenize: (text: string) => Promise.resolve([...text].map((letter) => letter.charCodeAt(0) % 4)),
    logits: (tokens: readonly number[]) =>
      Promise.resolve(
        Float32Array.from(tokens.flatMap((t) => [0, 1, 2, 3].map((i) => (i === (t + 1) % 4 ? sure : 0)))),
      ),
    async *complete() {
      await Promise.resolve();
      yield { done: false, text: `sure ${sure}` };
    },
    dispose: () => Promise.resolve(),
  };
  return model as unknown as Model;
}

describe('wp-models validate', () => {
  const text = join(folder, 'valid.txt');
  writeFileSync(text, 'abcd'.repeat(50));
  const args = ['validate', '-m', 'few', '-r', 'many', '-t', text, '--window', '32'];
  const load = (source: unknown): Promise<Model> => Promise.resolve(fakeModel(source === 'few' ? 2 : 3));
  const perplexity = (sure: number): number => (Math.exp(sure) + 3) / Math.exp(sure);

  it('measures both, and writes a report', async () => {
    const { terminal, state } = fakeTerminal();
    const html = join(folder, 'report.html');
    assert.equal(await run([...args, '--json', '--html', html, '-p', 'a <b>'], terminal, load), 0, state.notes);
    const { comparison, samples } = JSON.parse(state.out) as {
      comparison: {
        model: { perplexity: number; windows: number };
        reference: { perplexity: number };
        agreement: number;
        divergence: { mean: number };
      };
      samples: unknown[];
    };
    assert.ok(Math.abs(comparison.model.perplexity - perplexity(2)) < 1e-6);
    assert.ok(Math.abs(comparison.reference.perplexity - perplexity(3)) < 1e-6);
    assert.equal(comparison.model.windows, 6);
    assert.equal(comparison.agreement, 1);
    const [p, q] = [1 / perplexity(3), 1 / perplexity(2)];
    const expected = p * Math.log(p / q) + (1 - p) * Math.log((1 - p) / (1 - q));
    assert.ok(Math.abs(comparison.divergence.mean - expected) < 1e-6);
    assert.deepEqual(samples, [{ prompt: 'a <b>', model: 'sure 2', reference: 'sure 3' }]);
    const page = readFileSync(html, 'utf8');
    assert.match(page, /a &lt;b&gt;/);
    assert.equal(page.match(/<svg/g)?.length, 3);
    assert.doesNotMatch(page, /NaN|Infinity|undefined/);
    assert.doesNotMatch(page, /(?:src|href)=/, 'it needs no other file');
  });

  it('ends with 3 when a limit is exceeded', async () => {
    const { terminal, state } = fakeTerminal();
    assert.equal(await run([...args, '--max-loss', '5'], terminal, load), 3);
    assert.match(state.notes, /--max-loss allows 5 %/);
    assert.match(state.out, /agreement {3}100\.0 %/);
    assert.equal(await run([...args, '--max-loss', '50'], fakeTerminal().terminal, load), 0);
  });

  it('says what is missing', async () => {
    const { terminal, state } = fakeTerminal();
    assert.equal(await run(['validate', '-m', 'few'], terminal, load), 2);
    assert.match(state.notes, /--reference is missing/);
    const other = fakeTerminal();
    assert.equal(await run(['validate', '-m', 'a', '-r', 'b', '-t', join(folder, 'none')], other.terminal, load), 1);
    assert.match(other.state.notes, /not-found/);
  });
});
