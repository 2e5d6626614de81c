// What `wp-models validate` found, as one HTML file that needs nothing else: figures, two plots, the samples side by side.

import type { Comparison } from '../runtime/index.ts';

export interface ValidationReport {
  model: { source: string; precision: string; bitsPerWeight: number; weightBytes: number };
  reference: { source: string; precision: string; bitsPerWeight: number; weightBytes: number };
  text: string;
  comparison: Comparison;
  samples: readonly { prompt: string; model: string; reference: string }[];
}

export function validationHtml(report: ValidationReport): string {
  const { model, reference, comparison, samples } = report;
  const { divergence, windows } = comparison;
  const rows: [string, string, string][] = [
    ['Source', model.source, reference.source],
    ['Bits a weight', model.bitsPerWeight.toFixed(2), reference.bitsPerWeight.toFixed(2)],
    ['Weights', megabytes(model.weightBytes), megabytes(reference.weightBytes)],
    [
      'Perplexity',
      `${comparison.model.perplexity.toFixed(3)} ± ${comparison.model.standardError.toFixed(3)}`,
      comparison.reference.perplexity.toFixed(3),
    ],
    ['Loss, nats a token', comparison.model.loss.toFixed(4), comparison.reference.loss.toFixed(4)],
  ];
  const change = 100 * (comparison.model.perplexity / comparison.reference.perplexity - 1);
  const facts = [
    `Perplexity against the reference: ${change >= 0 ? '+' : ''}${change.toFixed(2)} %.`,
    `Divergence (KL), nats a token: mean ${divergence.mean.toFixed(4)}, median ${divergence.median.toFixed(4)}, 90 % below ${divergence.p90.toFixed(4)}, 99 % below ${divergence.p99.toFixed(4)}.`,
    `The likeliest token is the same at ${(100 * comparison.agreement).toFixed(1)} % of ${comparison.model.tokens} tokens.`,
  ];
  const plots = [
    plot('Loss by window (reference dashed)', [
      windows.map(({ loss }) => loss),
      windows.map(({ referenceLoss }) => referenceLoss),
    ]),
    plot('Divergence by window', [windows.map((window) => window.divergence)]),
  ];
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escape(model.source)} against ${escape(reference.source)}</title>
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8884; vertical-align: top }
svg { width: 100%; height: auto; overflow: visible }
path { fill: none; stroke: #36c; stroke-width: 2 }
path + path { stroke: currentColor; stroke-width: 1.5; stroke-dasharray: 5 4 }
svg text { font-size: 12px; fill: currentColor }
line { stroke: currentColor; stroke-opacity: .3 }
pre { white-space: pre-wrap; margin: 0; font: inherit }
</style>
<h1>Validation</h1>
<p>${escape(report.text)}: ${comparison.model.windows} windows, the second half of each counts.</p>
<table><tr><th></th><th>Model</th><th>Reference</th></tr>
${rows.map(([name, a, b]) => `<tr><th>${name}</th><td>${escape(a)}</td><td>${escape(b)}</td></tr>`).join('\n')}
</table>
<ul>${facts.map((fact) => `<li>${fact}</li>`).join('')}</ul>
${plots.join('\n')}
${samples.length > 0 ? '<h2>Samples</h2>' : ''}
${samples.map(({ prompt, model: a, reference: b }) => `<h3>${escape(prompt)}</h3><table><tr><th>Model</th><th>Reference</th></tr><tr><td><pre>${escape(a)}</pre></td><td><pre>${escape(b)}</pre></td></tr></table>`).join('\n')}
</html>
`;
}

function plot(title: string, series: readonly (readonly number[])[]): string {
  const width = 640;
  const height = 180;
  const values = series.flat();
  const least = Math.min(0, ...values);
  const most = Math.max(...values, least + 1e-9);
  const y = (value: number): number => height - ((value - least) / (most - least)) * height;
  const count = series[0]!.length;
  const x = (i: number): number => (count > 1 ? (i / (count - 1)) * width : width / 2);
  const paths = series.map((line) => {
    // A single window is a point: drawn as a short line.
    const points =
      line.length > 1 ? line.map((value, i) => [x(i), y(value)]) : [-4, 4].map((d) => [x(0) + d, y(line[0]!)]);
    return `<path d="M${points.map(([px, py]) => `${px!.toFixed(1)},${py!.toFixed(1)}`).join('L')}"/>`;
  });
  return `<h2>${title}</h2><svg viewBox="-50 -10 ${width + 60} ${height + 30}" role="img" aria-label="${title}">
<line x1="0" y1="${height}" x2="${width}" y2="${height}"/><line x1="0" y1="0" x2="0" y2="${height}"/>
<text x="-6" y="4" text-anchor="end">${most.toFixed(2)}</text><text x="-6" y="${height}" text-anchor="end">${least.toFixed(2)}</text>
<text x="${width}" y="${height + 16}" text-anchor="end">window ${count}</text>
${paths.join('')}</svg>`;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);
}
