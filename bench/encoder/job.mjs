// What `--encoder` measures: wp-models at each precision that was asked for, and its peers.

/** Best on a CPU are the peers' 8-bit integers, or f32; on a GPU f32 or f16, which has no kernels for the former. */
const PEER_WEIGHTS = { wasm: ['fp32', 'q8'], webgpu: ['fp32', 'fp16'] };
const PEER_NAMES = { ort: 'onnxruntime-web', 'transformers.js': 'transformers.js' };

/** @returns the part of a page's job that measure.mjs reads */
export function encoderJob({ encoder, backend, precision, threads, peers, batches, rounds }) {
  const precisions = precision === 'auto' ? ['8bit', 'f16'] : [precision];
  const ours = precisions.map((wanted) => ({ engine: 'wp-models', title: `wp-models ${wanted}`, precision: wanted }));
  const others = peers.flatMap((peer) =>
    PEER_WEIGHTS[backend].map((weights) => ({
      engine: PEER_NAMES[peer],
      title: `${PEER_NAMES[peer]} ${weights}`,
      weights,
    })),
  );
  const runs = [...ours, ...others].map((run) => ({ ...run, backend, threads }));
  return { shape: encoder, batches, rounds, runs };
}
