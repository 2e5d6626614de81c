// A GPU that is lost in the middle of an answer, with the real backend: the session goes on, on a new device, with the tokens
// that it would have told undisturbed; lost again at once, it says so and can be used again later.

import { expect } from '@esm-bundle/chai';
import type { Program } from '../../runtime/backends/backend.ts';
import { createWebGpuBackend, type WebGpuBackend } from '../../runtime/backends/webgpu/index.ts';
import { WpError } from '../../runtime/errors.ts';
import { DecoderSession } from '../../runtime/generation/decode-loop.ts';
import { resolveGenerationOptions } from '../../runtime/generation/options.ts';
import { skip } from '../support/skip.ts';
import { missingGpu } from '../webgpu/missing-gpu.ts';
import { openDecoder } from './golden-decoder.ts';

const FOLDER = new URL('/test/fixtures/decoders/llama-tied/', location.href);
const OPTIONS = resolveGenerationOptions(
  { seed: 0 },
  { maxTokens: 20, temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 },
);

describe('a GPU that is lost in mid-generation', function () {
  this.timeout(120_000);
  const backends: WebGpuBackend[] = [];
  let prompt: number[];
  let undisturbed: number[];

  /** A device of its own each time, as after a loss. */
  async function open(): Promise<Awaited<ReturnType<typeof openDecoder>>> {
    const backend = await createWebGpuBackend();
    backends.push(backend);
    return openDecoder(FOLDER.href, backend, { maxTokens: 4 });
  }
  const destroyLast = (): void => backends.at(-1)!.device.destroy();

  async function tell(session: DecoderSession, afterToken?: (count: number) => void): Promise<number[]> {
    const tokens: number[] = [];
    for await (const event of session.generate(prompt, OPTIONS, { eosIds: [] })) {
      if (event.type !== 'token') continue;
      tokens.push(event.token);
      afterToken?.(tokens.length);
    }
    return tokens;
  }

  before(async function () {
    const missing = await missingGpu();
    if (missing) skip(this, missing);
    ({ prompt } = (await (await fetch(new URL('goldens.json', FOLDER))).json()) as { prompt: number[] });
    const session = new DecoderSession((await open()).session);
    undisturbed = await tell(session);
    expect(undisturbed).to.have.length(20);
    await session.dispose();
  });
  afterEach(() => {
    for (const backend of backends.splice(0)) backend.dispose();
  });

  for (const at of [1, 9]) {
    it(`after token ${at}: recovered on a new device, the same tokens`, async () => {
      const { session: parts } = await open();
      let recoveries = 0;
      const recover = async (): Promise<Program> => {
        recoveries += 1;
        return (await open()).program;
      };
      const session = new DecoderSession({ ...parts, recover });
      expect(await tell(session, (count) => count === at && destroyLast())).to.deep.equal(undisturbed);
      expect(recoveries).to.equal(1);
      expect(session.program).not.to.equal(parts.program);
      // And once more on the new device, from its cache.
      expect(await tell(session)).to.deep.equal(undisturbed);
      await session.dispose();
    });
  }

  it('while a prompt is read: recovered, the same tokens', async () => {
    const { session: parts } = await open();
    let steps = 0;
    const program: Program = Object.create(parts.program) as Program;
    program.run = (inputs) => {
      if (++steps === 3) destroyLast();
      return parts.program.run(inputs);
    };
    program.dispose = () => parts.program.dispose();
    const session = new DecoderSession({ ...parts, program, recover: async () => (await open()).program });
    expect(await tell(session)).to.deep.equal(undisturbed);
    await session.dispose();
  });

  it('lost again while it is recovered: a clear error; the next answer comes from a third device', async () => {
    const { session: parts } = await open();
    let recoveries = 0;
    const recover = async (): Promise<Program> => {
      recoveries += 1;
      const { program } = await open();
      if (recoveries === 1) destroyLast();
      return program;
    };
    const session = new DecoderSession({ ...parts, recover });
    const error: unknown = await tell(session, (count) => count === 5 && destroyLast()).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).to.be.instanceOf(WpError);
    expect((error as WpError).code).to.equal('device-lost');
    expect((error as WpError).message).to.match(/lost again/);
    expect((error as WpError).hint).not.to.equal('');
    expect(await tell(session)).to.deep.equal(undisturbed);
    expect(recoveries).to.equal(2);
    await session.dispose();
  });

  it('without a way to recover: a clear error', async () => {
    const { session: parts } = await open();
    const session = new DecoderSession(parts);
    const error: unknown = await tell(session, (count) => count === 5 && destroyLast()).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect((error as WpError).code).to.equal('device-lost');
    await session.dispose();
  });
});
