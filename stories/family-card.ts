// A model family in one card: the tiny checkpoint of it that transformers made (test/fixtures), run by this page's WebAssembly
// kernels, beside what transformers computed. `play` fails when they differ, in Storybook and in the browser test alike.

import { html, render, type TemplateResult } from 'lit';
import { createWasmBackend } from '../runtime/backends/wasm/index.ts';
import type { Story } from './story.ts';

/** One output of the model: ours and transformers'. */
export interface Comparison {
  name: string;
  ours: Float32Array;
  golden: Float32Array;
  /** ‖ours − golden‖ / ‖golden‖. */
  error: number;
  tolerance: number;
}

export interface FamilyRun {
  config: Record<string, unknown>;
  /** What went in, in words. */
  input: string;
  comparisons: readonly Comparison[];
}

let wasm: ReturnType<typeof createWasmBackend> | undefined;

/** One for all stories: a thread, no shaders to compile. */
export function wasmBackend(): ReturnType<typeof createWasmBackend> {
  wasm ??= createWasmBackend({ threads: 1 });
  return wasm;
}

/** A file of test/fixtures, wherever Storybook or the tests' server stands. */
export async function readFixture(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(fixtureUrl(path));
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

export const fixtureUrl = (path: string): URL => new URL(`test/fixtures/${path}`, document.baseURI);

export const readJson = async <T>(path: string): Promise<T> =>
  JSON.parse(new TextDecoder().decode(await readFixture(path))) as T;

export function familyStory(name: string, about: string, run: () => Promise<FamilyRun>): Story {
  return {
    name,
    render: () => html`<section class="family" aria-label=${name} aria-busy="true"></section>`,
    play: async ({ canvasElement }) => {
      const section = canvasElement.querySelector<HTMLElement>('.family')!;
      const { config, input, comparisons } = await run();
      render(card(name, about, { config, input, comparisons }), section);
      section.removeAttribute('aria-busy');
      for (const canvas of section.querySelectorAll('canvas')) {
        const { ours, golden } = comparisons[Number(canvas.dataset['output'])]!;
        drawStrip(canvas, canvas.dataset['of'] === 'ours' ? ours : golden, golden);
      }
      for (const { name: output, error, tolerance } of comparisons) {
        if (!(error <= tolerance)) throw new Error(`${name}, ${output}: relative error ${error}`);
      }
    },
  };
}

function card(name: string, about: string, { config, input, comparisons }: FamilyRun): TemplateResult {
  const text = (config['text_config'] ?? config['vision_config'] ?? config) as Record<string, unknown>;
  const layers = text['num_hidden_layers'] ?? text['n_layer'] ?? text['n_layers'];
  const width = text['hidden_size'] ?? text['n_embd'] ?? text['dim'];
  const strip = (of: 'ours' | 'golden', label: string, index: number): TemplateResult => html`
    <figure style="margin: 0.25rem 0">
      <canvas
        data-output=${index}
        data-of=${of}
        role="img"
        aria-label=${`${comparisons[index]!.name}: ${label}`}
        style="inline-size: 100%; block-size: 1.5rem; image-rendering: pixelated; border-radius: 4px"
      ></canvas>
      <figcaption style="font-size: 0.8rem">${label}</figcaption>
    </figure>
  `;
  return html`
    <div style="font: 1rem/1.5 system-ui, sans-serif; max-inline-size: 44rem">
      <h2 style="margin: 0">${name}</h2>
      <p>${about}</p>
      <p>
        <code>${config['model_type']}</code>: ${layers} layers of ${width}, random weights, f16, on WebAssembly.
        ${input}
      </p>
      ${comparisons.map(
        (comparison, index) => html`
          <h3 style="margin: 1rem 0 0">${comparison.name}</h3>
          ${strip('ours', 'wp-models', index)} ${strip('golden', 'transformers', index)}
          <p style="margin: 0">
            ${comparison.golden.length.toLocaleString('en')} numbers; relative error
            ${comparison.error.toExponential(1)}
          </p>
        `,
      )}
    </div>
  `;
}

const CELLS = 128;

/** The first numbers as colours: blue below zero, orange above, on the scale of the golden. */
function drawStrip(canvas: HTMLCanvasElement, values: Float32Array, golden: Float32Array): void {
  const cells = Math.min(CELLS, values.length);
  const most = golden.subarray(0, cells).reduce((largest, value) => Math.max(largest, Math.abs(value)), 1e-9);
  canvas.width = cells;
  canvas.height = 1;
  const context = canvas.getContext('2d')!;
  for (let i = 0; i < cells; i++) {
    const share = Math.min(1, Math.abs(values[i]!) / most);
    context.fillStyle = `hsl(${values[i]! < 0 ? 215 : 30} 85% ${95 - 50 * share}%)`;
    context.fillRect(i, 0, 1, 1);
  }
}
