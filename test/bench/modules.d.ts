// Types of what the tests call of the bench, which is plain JavaScript: it runs in pages as it stands.

declare module '*/bench/shapes.mjs' {
  export interface BenchShape {
    title: string;
    modelType: string;
    hidden: number;
    layers: number;
    heads: number;
    keyValueHeads: number;
    headDim: number;
    ffn: number;
    vocabulary: number;
    tied: boolean;
    attentionBias: boolean;
  }
  export const SHAPES: Record<string, BenchShape>;
  export function tensorsOf(shape: BenchShape): { name: string; gguf: string; dims: number[] }[];
  export function weightBytesPerToken(shape: BenchShape, bitsPerWeight: number): number;
}

declare module '*/bench/synthetic-model.mjs' {
  import type { BenchShape } from '*/bench/shapes.mjs';
  export class SyntheticFile {
    readonly size: number;
    read(from: number, to: number): Uint8Array;
    blob(): Blob;
  }
  export function safetensorsFolder(shape: BenchShape, bits: 2 | 3 | 4 | 8): Record<string, SyntheticFile>;
  export function ggufFile(shape: BenchShape, bits?: 4 | 8): SyntheticFile;
}

declare module '*/bench/onnx-model.mjs' {
  import type { BenchShape } from '*/bench/shapes.mjs';
  export function onnxDecoder(
    shape: BenchShape,
    options: {
      weights: 'q4' | 'q8' | 'q8-blocks';
      activations?: 'float32' | 'float16';
      contextLength: number;
      inputs?: 'lengths' | 'transformers';
    },
  ): { model: Uint8Array; externalData: { path: string; data: Uint8Array }[]; weightBytesPerToken: number };
}

declare module '*/bench/peers/onnxruntime.mjs' {
  import type { Tensor } from 'onnxruntime-web';
  type Cache = Record<string, Tensor>;
  export class OnnxDecoder {
    static load(ort: unknown, job: Record<string, unknown>, onGpu: boolean): Promise<OnnxDecoder>;
    run(ids: number[], past: number, cache?: Cache): Promise<{ logits: Tensor; present: Cache }>;
    release(): Promise<void>;
  }
}

declare module '*/bench/local-model.mjs' {
  interface ServedFile {
    readonly size: number;
    read(from: number, to: number): Uint8Array;
  }
  export function localModel(path: string): Promise<{ files: Record<string, ServedFile>; address: string }>;
}

declare module '*/bench/serve-files.mjs' {
  interface ServedFile {
    readonly size: number;
    read(from: number, to: number): Uint8Array;
  }
  export function serveFiles(files: Record<string, ServedFile>): Promise<{ url: string; close: () => void }>;
}

declare module '*/bench/table.mjs' {
  export type BenchResult = Record<string, unknown>;
  export interface BenchLimits {
    wasm?: { bytesPerSecond: number };
    webgpu?: {
      adapter: string;
      bytesPerSecond: number;
      microsecondsPerDispatch: number;
      flopsPerSecond?: { f32: number; f16?: number };
    };
  }
  export const COLUMNS: string[];
  export function shares(result: BenchResult, limits: BenchLimits): { byBytes: number; byDispatches: number };
  export function ratios(results: BenchResult[]): { title: string; prompt: number; decode: number }[];
  export interface KernelRow {
    operation: string;
    variant: string;
    ofStep: number;
    byBytes: number;
    byFlops: number;
  }
  export function kernelRows(result: BenchResult, limits: BenchLimits): KernelRow[];
  export function kernelLines(result: BenchResult, limits: BenchLimits): string[];
  export function limitLines(limits: BenchLimits): string[];
  export function cellsOf(result: BenchResult, limits: BenchLimits): string[];
  export function softwareWarning(report: { limits: BenchLimits; results: BenchResult[] }): string | undefined;
}

declare module '*/bench/report.mjs' {
  export function reportPage(reports: Record<string, unknown>[], style: string): string;
}

declare module '*/bench/watch-gpu.mjs' {
  export interface GpuPhase {
    readonly what: 'compiling' | 'weights';
    readonly start: number;
    readonly end: number;
    readonly compiled?: number;
  }
  export interface GpuPhases {
    pipelines: number;
    lateMs: number;
    compiling: [number, number];
    weights: [number, number] | undefined;
    afterWeightsMs: number;
  }
  export function gpuPhases(phases: readonly GpuPhase[], readyMs: number): GpuPhases | undefined;
}

declare module '*/bench/options.mjs' {
  export class OptionError extends Error {}
  export function readOptions(args: string[]): Record<string, unknown>;
}

declare module '*/bench/encoder/files.mjs' {
  export function smallFiles(name: string): Record<string, Uint8Array>;
}

declare module '*/bench/encoder/shapes.mjs' {
  export interface EncoderShape {
    hidden: number;
  }
  interface Tensor {
    name: string;
    dims: number[];
  }
  export const ENCODER_SHAPES: Record<string, EncoderShape>;
  export function encoderTensors(shape: EncoderShape): Tensor[];
  export function encoderWeights(tensor: Tensor): Float32Array<ArrayBuffer>;
}

declare module '*/bench/encoder/quantized.mjs' {
  export function quantizedSafetensors(name: string): Uint8Array<ArrayBuffer>;
}

declare module '*/bench/encoder/onnx.mjs' {
  export function encoderOnnx(
    name: string,
    options: { weights: 'fp32' | 'fp16' | 'q8'; form?: 'exported' | 'fused' },
  ): Uint8Array;
}

declare module '*/bench/encoder/texts.mjs' {
  export function sentences(count: number): string[];
}

declare module '*/bench/encoder/table.mjs' {
  type Result = Record<string, unknown>;
  export function batchesOf(results: Result[]): number[];
  export function encoderColumns(batches: number[]): string[];
  export function encoderCells(result: Result, batches: number[]): string[];
  export function encoderRatios(results: Result[]): { ours: string; peer: string; batch: number; ratio: number }[];
}
