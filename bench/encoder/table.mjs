// The table of `npm run bench -- --encoder`: sentences a second of each engine, and how many times as many wp-models does.

export const rateOf = (result, way, batch) => result[way]?.[batch]?.sentencesPerSecond;

const number = (value) => (value === undefined ? '–' : value.toFixed(value < 100 ? 1 : 0));

export const batchesOf = (results) => [
  ...new Set(results.flatMap(({ texts, tokens }) => Object.keys({ ...texts, ...tokens }).map(Number))),
];

/**
 * wp-models ÷ each peer at its best, whatever its weights, with or without its tokenizing: ours always tokenizes.
 *
 * @returns {{ ours: string, peer: string, batch: number, ratio: number }[]}
 */
export function encoderRatios(results) {
  const whole = results.filter(({ error }) => !error);
  const rows = [];
  for (const mine of whole.filter(({ engine }) => engine === 'wp-models')) {
    for (const engine of new Set(whole.map((result) => result.engine))) {
      if (engine === 'wp-models') continue;
      for (const batch of batchesOf([mine])) {
        const best = bestOf(
          whole.filter((result) => result.engine === engine),
          batch,
        );
        const ratio = rateOf(mine, 'texts', batch) / best.rate;
        rows.push({
          ours: mine.title,
          peer: `${best.title}${best.way === 'tokens' ? ', tokens given' : ''}`,
          batch,
          ratio,
        });
      }
    }
  }
  return rows;
}

function bestOf(peers, batch) {
  const all = peers.flatMap((peer) =>
    ['texts', 'tokens'].map((way) => ({ title: peer.title, way, rate: rateOf(peer, way, batch) ?? 0 })),
  );
  return all.reduce((best, next) => (next.rate > best.rate ? next : best));
}

export const encoderColumns = (batches) => [
  'engine',
  'backend',
  'precision',
  ...batches.flatMap((batch) => [`sentences/s, batch ${batch}`, 'without tokenizing']),
  'cosine to f32',
  'load ms',
];

/** The cells of a result, one for each column. @returns {string[]} */
export function encoderCells(result, batches) {
  if (result.error) return [result.title, '', `failed: ${result.error}`];
  return [
    result.title,
    result.backend,
    String(result.precision),
    ...batches.flatMap((batch) => [number(rateOf(result, 'texts', batch)), number(rateOf(result, 'tokens', batch))]),
    result.leastCosine === undefined ? '–' : result.leastCosine.toFixed(5),
    String(Math.round(result.loadMs)),
  ];
}

export function printEncoderTable({ what, userAgent, error, results }) {
  console.log(`\n${what} — ${userAgent}`);
  if (error) console.log(`failed: ${error}`);
  const batches = batchesOf(results);
  const rows = [encoderColumns(batches), ...results.map((result) => encoderCells(result, batches))];
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => (row.length > 3 ? row[i].length : 0))));
  for (const row of rows) console.log(row.map((cell, i) => cell.padEnd(widths[i])).join('  '));
  for (const { ours, peer, batch, ratio } of encoderRatios(results)) {
    console.log(`${ours} ÷ ${peer}, batch ${batch}: ${ratio.toFixed(2)} ×`);
  }
}
