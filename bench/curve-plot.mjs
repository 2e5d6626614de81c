// The curve of loss against bytes as an SVG file that stands alone: a line a quantiser, loss on a logarithmic scale.

import { escapeText } from './plot.mjs';

const WIDTH = 760;
const HEIGHT = 420;
const MARGIN = { left: 64, right: 160, top: 44, bottom: 48 };
/** Told apart by shade and by mark, so that colour is not needed. */
const LINES = {
  nearest: { colour: '#9a3412', name: 'round to nearest' },
  search: { colour: '#b45309', name: 'scale search' },
  hqq: { colour: '#4d7c0f', name: 'HQQ' },
  importance: { colour: '#0f766e', name: 'importance' },
  gptq: { colour: '#1d4ed8', name: 'GPTQ' },
  descent: { colour: '#6d28d9', name: 'GPTQ and descent' },
  adaptive: { colour: '#111827', name: 'adaptive' },
  'llama.cpp': { colour: '#db2777', name: 'llama.cpp', dashes: '5 4' },
};
const TICKS = [0.1, 0.3, 1, 3, 10, 30, 100, 300];
/** Percent; what lies above says nothing any more and is drawn there, as a hollow mark. */
const HIGHEST = 500;

/**
 * @param {{ method: string, row: string, bytes: number, above: number }[]} results `above`: perplexity over that of f16, percent.
 *   What lies below a tenth of a percent, or above 500 percent, is drawn there.
 * @returns {string} an SVG file
 */
export function curvePlot(results) {
  const shown = results.filter(({ method }) => method in LINES);
  const megabytes = shown.map(({ bytes }) => bytes / 1e6);
  const low = Math.floor(Math.min(...megabytes));
  const high = Math.ceil(Math.max(...megabytes));
  const decades = [Math.log10(TICKS[0]), Math.log10(HIGHEST)];
  const x = (mb) => MARGIN.left + ((mb - low) / (high - low)) * (WIDTH - MARGIN.left - MARGIN.right);
  const y = (percent) => {
    const at = (Math.log10(Math.min(HIGHEST, Math.max(percent, TICKS[0]))) - decades[0]) / (decades[1] - decades[0]);
    return HEIGHT - MARGIN.bottom - at * (HEIGHT - MARGIN.top - MARGIN.bottom);
  };
  const grid = TICKS.map(
    (tick) =>
      `<path class="grid" d="M${MARGIN.left} ${y(tick).toFixed(1)}H${WIDTH - MARGIN.right}"/>` +
      `<text x="${MARGIN.left - 8}" y="${(y(tick) + 4).toFixed(1)}" text-anchor="end">+${tick} %</text>`,
  );
  const step = high - low > 12 ? 4 : 2;
  for (let mb = Math.ceil(low / step) * step; mb <= high; mb += step) {
    grid.push(`<text x="${x(mb).toFixed(1)}" y="${HEIGHT - MARGIN.bottom + 18}" text-anchor="middle">${mb}</text>`);
  }
  const drawn = Object.entries(LINES).filter(([method]) => shown.some((result) => result.method === method));
  const lines = drawn.flatMap(([method, { colour, name, dashes }], i) => {
    const points = shown.filter((result) => result.method === method).sort((a, b) => a.bytes - b.bytes);
    const dash = dashes ? ` stroke-dasharray="${dashes}"` : '';
    const path = points
      .map(({ bytes, above }, p) => `${p ? 'L' : 'M'}${x(bytes / 1e6).toFixed(1)} ${y(above).toFixed(1)}`)
      .join('');
    const marks = points.map(
      ({ bytes, above, row }) =>
        `<circle cx="${x(bytes / 1e6).toFixed(1)}" cy="${y(above).toFixed(1)}" r="3.5" ${
          above > HIGHEST ? `fill="#fff" stroke="${colour}"` : `fill="${colour}"`
        }><title>${escapeText(
          `${name}, ${row}: ${(bytes / 1e6).toFixed(2)} MB, ${above >= 0 ? '+' : ''}${above.toFixed(1)} %`,
        )}</title></circle>`,
    );
    const key = MARGIN.top + 14 + 20 * i;
    const legend =
      `<path d="M${WIDTH - MARGIN.right + 10} ${key - 4}h18" stroke="${colour}" stroke-width="2"${dash}/>` +
      `<text x="${WIDTH - MARGIN.right + 34}" y="${key}">${escapeText(name)}</text>`;
    return [`<path d="${path}" fill="none" stroke="${colour}" stroke-width="1.75"${dash}/>`, ...marks, legend];
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Perplexity above f16 against bytes, by quantiser">
<style>text{font:12px system-ui,sans-serif;fill:#374151}.title{font-size:14px;font-weight:600}.grid{stroke:#e5e7eb}</style>
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>
<text class="title" x="${MARGIN.left}" y="24">Perplexity above f16, by the bytes of the checkpoint (MB)</text>
${[...grid, ...lines].join('\n')}
</svg>
`;
}
