// An encoder's program on WebNN. A graph is compiled for each shape when it is first needed, and the few that were used last are
// kept, each with its tensors; a step is cut into rectangles of these shapes.

import { WpError } from '../../errors.ts';
import { encoderStep, rowsOfStep, type EncoderStepSizes, type StepNumbers } from '../../graph/encoder-step.ts';
import type { Graph } from '../../graph/types.ts';
import type { PackedMatrix } from '../../quantization/formats.ts';
import type { EncoderCompileOptions, EncoderProgram, MemoryUse } from '../backend.ts';
import { CheckedBuilder, type Real, realBytes } from './checked-builder.ts';
import { emitGraph } from './emitter.ts';
import { outputsOf, type Feed, type Run } from './feeds.ts';
import type { MLContext, MLDescriptor, MLGraph, MLGraphBuilder, MLTensor } from './ml-api.ts';
import { placeOutputs, type Rectangle, rectangles, type Shape, type Text, textsOf } from './rectangles.ts';
import { type Support, unsupported } from './support.ts';
import { WeightStore } from './weight-store.ts';

/** Compiled shapes that are kept, each with constants of its own: so many, and of so many bytes in all, but for the first. */
const MOST_GRAPHS = 4;
const MOST_CONSTANT_BYTES = 512 * 2 ** 20;
/** Compiled before the first step, so that what does not compile is known then. */
const FIRST_SHAPE: Shape = { batch: 1, length: 16, outputs: 1 };

/** What a program needs of its backend. */
export interface EncoderContext {
  context: MLContext;
  Builder: new (context: MLContext) => MLGraphBuilder;
  support: Support;
  real: Real;
  isCompact: boolean;
  /** Settles as the promise does, or rejects with `device-lost`. */
  guard<T>(promise: Promise<T>): Promise<T>;
  /** Throws `device-lost` when the context is gone. */
  check(): void;
  onDispose(program: EncoderProgram): void;
}

interface Compiled {
  graph: MLGraph;
  feeds: readonly { feed: Feed; tensor: MLTensor }[];
  outputs: readonly { name: string; tensor: MLTensor }[];
  constantBytes: number;
  tensorBytes: number;
}

type Outputs = Record<string, Float32Array<ArrayBuffer>>;

export class WebNnEncoderProgram implements EncoderProgram {
  readonly #on: EncoderContext;
  readonly #graph: Graph;
  readonly #options: EncoderCompileOptions;
  readonly #store: WeightStore;
  /** By shape, the one that was used last at the end. */
  readonly #graphs = new Map<string, Promise<Compiled>>();
  readonly #compiled = new Set<Compiled>();
  /** The input that says which rows are one text; undefined for images. */
  readonly #spans: string | undefined;
  readonly #isFixed: boolean;
  #lastStep: Promise<unknown> = Promise.resolve();
  #isReady = false;
  #isDisposed = false;

  /** Throws `unsupported-operation` for what the context cannot compute, before there are weights. */
  constructor(on: EncoderContext, graph: Graph, options: EncoderCompileOptions) {
    this.#on = on;
    this.#graph = graph;
    this.#options = options;
    this.#store = new WeightStore(graph, options.formats);
    this.#isFixed = Object.values(graph.inputs).every((id) => typeof graph.values[id]!.shape[0] === 'number');
    const attention = graph.operations.find(({ op, inputs }) => op === 'attend' && inputs.length > 3);
    this.#spans = Object.keys(graph.inputs).find((name) => graph.inputs[name] === attention?.inputs[3]);
    this.#emit(this.#firstShape(), true);
  }

  async setWeight(name: string, matrix: PackedMatrix): Promise<void> {
    this.#checkUsable();
    this.#isReady = false;
    this.#store.set(name, matrix);
  }

  async ready(): Promise<void> {
    this.#checkUsable();
    this.#store.checkComplete();
    for (const key of [...this.#graphs.keys()]) await this.#forget(key); // of other weights
    await this.#graphFor(this.#firstShape());
    this.#checkUsable();
    this.#isReady = true;
  }

  async run(inputs: StepNumbers): Promise<Outputs> {
    this.#checkUsable();
    if (!this.#isReady) throw new WpError('internal', 'A program was run before it was ready.');
    const sizes = encoderStep(this.#graph, inputs, this.#options);
    const copies = Object.fromEntries(Object.entries(inputs).map(([name, numbers]) => [name, numbers.slice()]));
    // One after another: they share the tensors of a shape.
    const step = this.#lastStep.then(() => this.#run(copies, sizes));
    this.#lastStep = step.catch(() => undefined); // its caller hears of it
    return step;
  }

  memory(): MemoryUse {
    let [weights, activations] = [this.#isDisposed ? 0 : this.#store.bytes, 0];
    for (const { constantBytes, tensorBytes } of this.#compiled) {
      weights += constantBytes;
      activations += tensorBytes;
    }
    return { weights, keyValueCache: 0, activations, other: 0 };
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    for (const compiled of this.#compiled) this.#destroy(compiled);
    this.#graphs.clear();
    this.#store.clear();
    this.#on.onDispose(this);
  }

  async #run(inputs: StepNumbers, sizes: EncoderStepSizes): Promise<Outputs> {
    const out: Outputs = {};
    for (const [name, id] of Object.entries(this.#graph.outputs)) {
      const columns = this.#graph.values[id]!.shape[1] as number;
      out[name] = new Float32Array(rowsOfStep(this.#graph, id, sizes) * columns);
    }
    const parts = this.#isFixed ? [undefined] : this.#rectangles(inputs, sizes);
    for (const rectangle of parts) {
      const compiled = await this.#graphFor(rectangle?.shape ?? this.#firstShape());
      this.#checkUsable();
      for (const [name, numbers] of Object.entries(await this.#dispatch(compiled, { inputs, rectangle }))) {
        this.#collect(out[name]!, numbers, name, rectangle);
      }
    }
    return out;
  }

  #rectangles(inputs: StepNumbers, { tokens }: EncoderStepSizes): Rectangle[] {
    const spans = this.#spans === undefined ? undefined : (inputs[this.#spans] as Int32Array);
    const texts: Text[] = spans ? textsOf(spans) : [{ first: 0, end: tokens, outputs: [] }];
    placeOutputs(texts, this.#outputRanges(inputs));
    return rectangles(texts, this.#options.maxTokens);
  }

  /** The rows of the step that each of its outputs reads. */
  #outputRanges(inputs: StepNumbers): { first: number; end: number }[] {
    const ranges: { first: number; end: number }[] = [];
    for (const [name, id] of Object.entries(this.#graph.inputs)) {
      const { shape } = this.#graph.values[id]!;
      if (shape[0] !== 'outputs') continue;
      const numbers = inputs[name]!;
      const width = shape.length === 1 ? 1 : 2;
      for (let i = 0; i < numbers.length / width; i++) {
        const first = numbers[width * i]!;
        const end = width === 1 ? first + 1 : numbers[2 * i + 1]!;
        const known = (ranges[i] ??= { first, end });
        ranges[i] = { first: Math.min(known.first, first), end: Math.max(known.end, end) };
      }
    }
    return ranges;
  }

  async #dispatch({ graph, feeds, outputs }: Compiled, run: Run): Promise<Outputs> {
    const { context, guard } = this.#on;
    try {
      for (const { feed, tensor } of feeds) {
        const numbers = feed.fill(run);
        const isHalf = feed.dataType === 'float16';
        context.writeTensor(tensor, isHalf ? realBytes(numbers as Float32Array<ArrayBuffer>, 'float16') : numbers);
      }
      const named = (tensors: readonly { tensor: MLTensor; name: string }[]) =>
        Object.fromEntries(tensors.map(({ name, tensor }) => [name, tensor]));
      context.dispatch(graph, named(feeds.map(({ feed: { name }, tensor }) => ({ name, tensor }))), named(outputs));
      const read = outputs.map(async ({ name, tensor }) => {
        return [name, new Float32Array(await context.readTensor(tensor))] as const;
      });
      return Object.fromEntries(await guard(Promise.all(read)));
    } catch (thrown) {
      await settle();
      this.#checkUsable();
      throw thrown instanceof WpError ? thrown : failure('A step of WebNN failed', thrown);
    }
  }

  /** A rectangle's rows of an output at their places in the step's. */
  #collect(out: Float32Array, numbers: Float32Array, name: string, rectangle: Rectangle | undefined): void {
    const { shape } = this.#graph.values[this.#graph.outputs[name]!]!;
    const columns = shape[1] as number;
    if (!rectangle || typeof shape[0] === 'number') return out.set(numbers);
    if (shape[0] === 'tokens') {
      rectangle.texts.forEach(({ first, end }, i) => {
        const start = i * rectangle.shape.length * columns;
        out.set(numbers.subarray(start, start + (end - first) * columns), first * columns);
      });
      return;
    }
    outputsOf(rectangle).forEach((output, i) => {
      out.set(numbers.subarray(i * columns, (i + 1) * columns), output * columns);
    });
  }

  async #graphFor(shape: Shape): Promise<Compiled> {
    const key = JSON.stringify(shape);
    const known = this.#graphs.get(key);
    this.#graphs.delete(key);
    if (!known) {
      // Before the new one is built: the bound is on what is there at once.
      while (this.#graphs.size > 0 && !this.#hasRoom()) await this.#forget([...this.#graphs.keys()][0]!);
    }
    const compiled = known ?? this.#compile(shape);
    this.#graphs.set(key, compiled);
    compiled.catch(() => this.#graphs.delete(key));
    return compiled;
  }

  /** Whether one more graph may be compiled: its constants are as many as those of another. */
  #hasRoom(): boolean {
    const bytes = [...this.#compiled].map(({ constantBytes }) => constantBytes);
    const sum = bytes.reduce((all, each) => all + each, 0);
    return this.#graphs.size < MOST_GRAPHS && sum + Math.max(0, ...bytes) <= MOST_CONSTANT_BYTES;
  }

  async #forget(key: string): Promise<void> {
    const compiled = await this.#graphs.get(key)?.catch(() => undefined);
    this.#graphs.delete(key);
    if (compiled) this.#destroy(compiled);
  }

  async #compile(shape: Shape): Promise<Compiled> {
    const { context, guard } = this.#on;
    const { builder, feeds, outputs, constantBytes } = this.#emit(shape, false);
    const graph = await guard(builder.build(outputs)).catch(async (thrown: unknown) => {
      await settle();
      this.#checkUsable();
      throw unsupported(`no graph of this kind (${messageOf(thrown)})`, thrown);
    });
    const compiled: Compiled = { graph, feeds: [], outputs: [], constantBytes, tensorBytes: 0 };
    this.#compiled.add(compiled);
    try {
      const make = async (descriptor: MLDescriptor, use: { readable?: boolean; writable?: boolean }) => {
        const { dataType, shape: sizes } = descriptor;
        const tensor = await guard(context.createTensor({ dataType, shape: sizes, ...use }));
        compiled.tensorBytes += sizes.reduce((bytes, size) => bytes * size, dataType === 'float16' ? 2 : 4);
        return tensor;
      };
      const inputTensors: { feed: Feed; tensor: MLTensor }[] = [];
      compiled.feeds = inputTensors;
      for (const feed of feeds) inputTensors.push({ feed, tensor: await make(feed, { writable: true }) });
      const outputTensors: { name: string; tensor: MLTensor }[] = [];
      compiled.outputs = outputTensors;
      for (const [name, operand] of Object.entries(outputs)) {
        outputTensors.push({ name, tensor: await make(operand, { readable: true }) });
      }
      this.#checkUsable();
      return compiled;
    } catch (thrown) {
      this.#destroy(compiled);
      throw thrown instanceof WpError ? thrown : failure('WebNN gave no tensors', thrown);
    }
  }

  #emit(shape: Shape, isDry: boolean) {
    const { context, Builder, support, real, isCompact } = this.#on;
    const builder = new Builder(context);
    try {
      const checked = new CheckedBuilder(builder, support, real);
      return { builder, ...emitGraph(this.#graph, checked, this.#store, shape, { isCompact, isDry }) };
    } catch (thrown) {
      this.#on.check();
      // What the builder refuses although its account of itself allows it.
      throw thrown instanceof WpError ? thrown : unsupported(`no graph of this kind (${messageOf(thrown)})`, thrown);
    }
  }

  #destroy(compiled: Compiled): void {
    this.#compiled.delete(compiled);
    compiled.graph.destroy?.();
    for (const { tensor } of [...compiled.feeds, ...compiled.outputs]) tensor.destroy();
    compiled.constantBytes = compiled.tensorBytes = 0;
  }

  #firstShape(): Shape {
    return this.#isFixed ? { batch: 0, length: 0, outputs: 0 } : FIRST_SHAPE;
  }

  #checkUsable(): void {
    if (this.#isDisposed) throw new WpError('disposed', 'The program was disposed and used again.');
    this.#on.check();
  }
}

/** A lost context tells of itself a moment after what it broke. */
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

function failure(what: string, cause: unknown): WpError {
  return new WpError('internal', `${what}: ${messageOf(cause)}`, 'Use backend "auto".', {}, { cause });
}
