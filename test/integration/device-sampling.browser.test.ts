// Answers whose tokens the GPU chooses, with steps under way together, beside the same answers sampled on the host from the
// same program's logits; greedy ones beside transformers too.

import { expect } from '@esm-bundle/chai';
import type { Program } from '../../runtime/backends/backend.ts';
import { createWebGpuBackend, type WebGpuBackend } from '../../runtime/backends/webgpu/index.ts';
import { DecoderSession } from '../../runtime/generation/decode-loop.ts';
import { resolveGenerationOptions } from '../../runtime/generation/options.ts';
import type { GenerationOptions } from '../../runtime/types.ts';
import { skip } from '../support/skip.ts';
import { missingGpu } from '../webgpu/missing-gpu.ts';
import { openDecoder } from './golden-decoder.ts';

const DEFAULTS = { maxTokens: 20, temperature: 0, topK: 40, topP: 1, minP: 0, repetitionPenalty: 1 };
const CHOICES: Record<string, GenerationOptions> = {
  'temperature and top-k': { temperature: 1, seed: 11 },
  'top-p': { temperature: 1.3, topK: 50, topP: 0.9, seed: 12 },
  'min-p': { temperature: 1.5, topK: 100, minP: 0.05, seed: 13 },
  'a repetition penalty': { temperature: 0.9, topP: 0.95, repetitionPenalty: 1.5, seed: 14 },
  'greedy with a repetition penalty': { repetitionPenalty: 1.5 },
};

for (const variant of ['llama-tied', 'qwen3-qk-norm']) {
  describe(`sampling on the GPU: ${variant}`, function () {
    this.timeout(120_000);
    const folder = new URL(`/test/fixtures/decoders/${variant}/`, location.href);
    let backend: WebGpuBackend;
    let goldens: { prompt: number[]; decoded: number[] };
    let onDevice: DecoderSession;
    let onHost: DecoderSession;
    let program: Program;
    let rotary: Float32Array;
    /** Steps that the host waits for, to see that tokens came the other way. */
    let runs = 0;

    before(async function () {
      const missing = await missingGpu();
      if (missing) skip(this, missing);
      goldens = (await (await fetch(new URL('goldens.json', folder))).json()) as typeof goldens;
      backend = await createWebGpuBackend();
      const { session } = await openDecoder(folder.href, backend, { maxTokens: 4 });
      ({ program } = session);
      rotary = session.rotaryRows(0, 1);
      const counted = Object.create(program) as Program;
      counted.run = (inputs) => {
        runs++;
        return program.run(inputs);
      };
      onDevice = new DecoderSession({ ...session, program: counted });
      const without = Object.create(counted, { deviceSampling: { value: undefined } }) as Program;
      onHost = new DecoderSession({ ...session, program: without });
    });
    after(() => backend?.dispose());

    /** The tokens, and how many steps came back as logits. */
    async function tell(session: DecoderSession, options: GenerationOptions = {}): Promise<[number[], number]> {
      const tokens: number[] = [];
      const before = runs;
      const resolved = resolveGenerationOptions({ seed: 0, ...options }, DEFAULTS);
      const events = session.generate(goldens.prompt, resolved, { eosIds: [], isolated: true });
      for await (const event of events) if (event.type === 'token') tokens.push(event.token);
      return [tokens, runs - before];
    }

    it('greedy: the tokens of transformers', async () => {
      const chunks = Math.ceil(goldens.prompt.length / 4);
      expect(await tell(onDevice)).to.deep.equal([goldens.decoded.slice(0, 20), chunks]);
      expect(await tell(onHost)).to.deep.equal([goldens.decoded.slice(0, 20), chunks + 19]);
    });

    for (const [name, options] of Object.entries(CHOICES)) {
      it(`${name}: the tokens that the host chooses`, async () => {
        const [expected] = await tell(onHost, options);
        expect((await tell(onDevice, options))[0]).to.deep.equal(expected);
      });
    }

    it('keeps its staging buffers', async () => {
      const { other } = program.memory();
      await tell(onDevice, { maxTokens: 20 });
      expect(program.memory().other).to.equal(other);
    });

    it('rejects what does not fit, and what comes after the end', async () => {
      const sampling = program.deviceSampling!;
      const code = (promise: Promise<unknown>): Promise<unknown> =>
        promise.then(
          () => 'resolved',
          (error: { code?: string }) => error.code,
        );
      const step = { tokenId: 1, rotary, past: 0, uniform: 0 };
      expect(await code(sampling.step({ ...step, past: 64 }))).to.equal('invalid-argument');
      expect(await code(sampling.step({ ...step, rotary: new Float32Array(3) }))).to.equal('invalid-argument');
      // With steps under way, then before any.
      const under = [0, 1, 2].map((past) => code(sampling.step({ ...step, past })));
      program.dispose();
      for (const outcome of await Promise.all(under)) expect(outcome).to.be.oneOf(['disposed', 'resolved']);
      expect(await code(sampling.step(step))).to.equal('disposed');
    });
  });
}
