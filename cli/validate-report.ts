// What `wp-models validate` found, as one HTML file that needs nothing else: what was lost, plots by window, samples side by side.

import type { Comparison } from '../runtime/index.ts';
import { linePlot } from './line-plot.ts';

export interface ValidationReport {
  model: { source: string; precision: string; bitsPerWeight: number; weightBytes: number };
  reference: { source: string; precision: string; bitsPerWeight: number; weightBytes: number };
  text: string;
  comparison: Comparison;
  samples: readonly { prompt: string; model: string; reference: string }[];
}

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; --model: light-dark(#2456c4, #86aaff); --quiet: light-dark(#5b6472, #a3abb8) }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { margin-bottom: 0 } h2 { margin: 2rem 0 .5rem; font-size: 1.15rem }
p, small, dt { color: var(--quiet) }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; margin: 1.5rem 0 }
dl div { border: 1px solid #8884; border-radius: .5rem; padding: .5rem .75rem }
dd { margin: 0; font-size: 1.6rem; font-weight: 600 }
table { border-collapse: collapse; width: 100%; table-layout: fixed }
th, td { text-align: left; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid #8884; vertical-align: top; overflow-wrap: anywhere }
table.facts th:first-child { width: 28% }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 0 2rem }
svg { width: 100%; height: auto; display: block }
svg path { fill: none; stroke: var(--model); stroke-width: 2 }
svg path.reference { stroke: var(--quiet); stroke-dasharray: 6 4 }
svg text { font-size: 14px; fill: var(--quiet) }
svg line { stroke: var(--quiet); stroke-opacity: .3 }
pre { white-space: pre-wrap; margin: 0; font: inherit } pre b { color: var(--quiet); font-weight: 400 }
`;

export function validationHtml(report: ValidationReport): string {
  const { model, reference, comparison, samples, text } = report;
  const { divergence, windows } = comparison;
  const change = 100 * (comparison.model.perplexity / comparison.reference.perplexity - 1);
  const figures: [string, string, string][] = [
    ['Perplexity', `${signed(change)} %`, 'above the reference'],
    ['Same likeliest token', `${(100 * comparison.agreement).toFixed(1)} %`, `of ${comparison.model.tokens} tokens`],
    ['Divergence (KL)', divergence.mean.toFixed(4), 'nats a token, mean'],
    ['Weights', `${((100 * model.weightBytes) / reference.weightBytes).toFixed(1)} %`, 'of the reference, by bytes'],
  ];
  const rows: [string, string, string][] = [
    ['Source', model.source, reference.source],
    ['Precision', model.precision, reference.precision],
    ['Bits a weight', model.bitsPerWeight.toFixed(2), reference.bitsPerWeight.toFixed(2)],
    ['Weights', megabytes(model.weightBytes), megabytes(reference.weightBytes)],
    [
      'Perplexity',
      `${comparison.model.perplexity.toFixed(3)} ± ${comparison.model.standardError.toFixed(3)}`,
      comparison.reference.perplexity.toFixed(3),
    ],
    ['Loss, nats a token', comparison.model.loss.toFixed(4), comparison.reference.loss.toFixed(4)],
  ];
  const spread: [string, number][] = [
    ['Half of the tokens below', divergence.median],
    ['90 % below', divergence.p90],
    ['99 % below', divergence.p99],
    ['Largest', divergence.maximum],
  ];
  const plots = [
    linePlot('Loss by window, nats a token', [
      { name: 'model', values: windows.map(({ loss }) => loss) },
      { name: 'reference', values: windows.map(({ referenceLoss }) => referenceLoss) },
    ]),
    linePlot('Divergence by window, nats a token', [
      { name: 'model', values: windows.map((window) => window.divergence) },
    ]),
    linePlot('Same likeliest token by window, %', [
      { name: 'model', values: windows.map(({ agreement }) => 100 * agreement) },
    ]),
  ];
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escape(model.source)} against ${escape(reference.source)}</title>
<style>${STYLE}</style>
<h1>What ${model.bitsPerWeight.toFixed(2)} bits a weight cost</h1>
<p>Measured on ${escape(text)}: ${comparison.model.windows} windows, the second half of each counts.</p>
<dl>${figures.map(([name, value, unit]) => `<div><dt>${name}</dt><dd>${value}</dd><small>${unit}</small></div>`).join('')}</dl>
<table class="facts"><tr><td></td><th>Model</th><th>Reference</th></tr>
${rows.map(([name, a, b]) => `<tr><th>${name}</th><td>${escape(a)}</td><td>${escape(b)}</td></tr>`).join('\n')}
</table>
<div class="plots">
${plots.join('\n')}
<section><h2>How divergence is spread, nats a token</h2><table>
${spread.map(([name, value]) => `<tr><th>${name}</th><td>${value.toFixed(4)}</td></tr>`).join('\n')}
</table></section>
</div>
${samples.length > 0 ? `<h2>Samples, the likeliest token each time</h2><table><tr><th>Model</th><th>Reference</th></tr>\n${samples.map(sampleRow).join('\n')}\n</table>` : ''}
</html>
`;
}

function sampleRow({ prompt, model, reference }: ValidationReport['samples'][number]): string {
  const cell = (text: string): string => `<td><pre><b>${escape(prompt)}</b>${escape(text)}</pre></td>`;
  return `<tr>${cell(model)}${cell(reference)}</tr>`;
}

function signed(value: number): string {
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(2)}`;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);
}
