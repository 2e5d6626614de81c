// bench/results/report.html: one page, without scripts or requests, of every JSON file in bench/results. Built by
// `npm run bench -- --report`. Its look is report.css; its plots are plot.mjs's.

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { batchesOf, encoderCells, encoderColumns, encoderRatios, rateOf } from './encoder/table.mjs';
import { barPlot, escapeText } from './plot.mjs';
import { kernelDetails, tuningDetails } from './report-kernels.mjs';
import { cellsOf, COLUMNS, limitLines, percent, ratios, shares, softwareWarning } from './table.mjs';

const RESULTS = fileURLToPath(new URL('./results/', import.meta.url));

const html = (strings, ...values) =>
  strings.reduce((text, string, i) => text + [values[i - 1]].flat(2).join('') + string);

/** Chromium, Firefox … with the version that matters. */
function browserName(userAgent = '') {
  const safari = /Version\/(\d+(?:\.\d+)?).* Safari/.exec(userAgent);
  if (safari) return `Safari ${safari[1]}`;
  const found = /(Firefox|Edg|Chrome)\/(\d+)/.exec(userAgent);
  if (!found) return userAgent || 'unknown browser';
  const [, name, version] = found;
  return `${{ Edg: 'Edge', Chrome: 'Chromium' }[name] ?? name} ${version}`;
}

/** A file may hold several subjects: a section for each. */
function sectionsOf(report) {
  const subjects = [...new Set(report.results.map((result) => result.what ?? report.what ?? result.title))];
  if (subjects.length === 0) return [{ ...report, results: [] }];
  return subjects.map((what) => ({
    ...report,
    what,
    results: report.results.filter((result) => (result.what ?? report.what ?? result.title) === what),
  }));
}

const titleOf = ({ title, engine, what }) => (title === what ? engine : (title ?? engine));

function plots({ results, limits }) {
  const whole = results.filter((result) => !result.error);
  if (whole.length === 0) return '';
  const bars = (value, label) =>
    whole.map((result) => ({
      name: result.engine === 'wp-models' ? titleOf(result) : result.engine,
      note: [result.precision, result.backend, result.threads > 1 ? `${result.threads} threads` : '']
        .filter(Boolean)
        .join(' · '),
      isOurs: result.engine === 'wp-models',
      value: value(result),
      label: label(value(result)),
    }));
  const speed = (value) => (value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(1));
  const charts = [
    barPlot(
      'Decode, tokens a second',
      bars((result) => result.decodeTokensPerSecond, speed),
    ),
    barPlot(
      'Prompt, tokens a second',
      bars((result) => result.promptTokensPerSecond, speed),
    ),
    barPlot(
      'Decode, share of what memory allows',
      bars((result) => shares(result, limits).byBytes, percent),
      1,
    ),
  ];
  return html`<div class="plots">${charts}</div>`;
}

function table({ results, limits }) {
  const head = COLUMNS.map((title, i) => html`<th${i > 2 ? ' class="number"' : ''}>${title}</th>`);
  const rows = results.map((result) => {
    const cells = cellsOf({ ...result, title: titleOf(result) }, limits);
    if (result.error) {
      return html`<tr>
        <td>${escapeText(cells[0])}</td>
        <td class="failed" colspan="9">${escapeText(cells[4])}</td>
      </tr>`;
    }
    const ours = result.engine === 'wp-models' ? ' class="ours"' : '';
    const tds = cells.map((cell, i) => html`<td${i > 2 ? ' class="number"' : ''}>${escapeText(cell)}</td>`);
    return html`<tr${ours}>${tds}</tr>`;
  });
  return html`<div class="scroll">
    <table>
      <thead>
        <tr>
          ${head}
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </div>`;
}

function ratioTiles({ results }) {
  const times = (number) => `${number.toFixed(number < 10 ? 2 : 1)} ×`;
  const tiles = ratios(results).map(
    ({ title, prompt, decode }) =>
      html`<li>
        <b>${times(decode)}</b><span>decode</span> <b>${times(prompt)}</b><span>prompt</span>
        <span class="against">wp-models ÷ ${escapeText(title)}</span>
      </li>`,
  );
  return tiles.length
    ? html`<ul class="ratios">
        ${tiles}
      </ul>`
    : '';
}

function facts({ machine, date, userAgent, isolated, limits }) {
  const list = [
    ['browser', `${browserName(userAgent)}${isolated ? ', isolated page' : ''}`],
    [
      'machine',
      machine &&
        `${machine.processor}, ${machine.cores} cores, ${Math.round(machine.memoryBytes / 2 ** 30)} GiB, ${machine.system}`,
    ],
    ...limitLines(limits).map((line) => {
      const [name, ...rest] = line.split(': ');
      return [name, rest.join(': ')];
    }),
    ['date', date?.slice(0, 16).replace('T', ' ')],
  ];
  return html`<dl>
    ${list
      .filter(([, value]) => value)
      .map(
        ([name, value]) =>
          html`<div>
            <dt>${escapeText(name)}</dt>
            <dd>${escapeText(value)}</dd>
          </div>`,
      )}
  </dl>`;
}

/** Of `--encoder`: sentences instead of tokens. */
function encoderSection(report) {
  const { results } = report;
  const whole = results.filter(({ error }) => !error);
  const batches = batchesOf(results);
  const bars = (batch) =>
    whole.map((result) => {
      const value = Math.max(...['texts', 'tokens'].map((way) => rateOf(result, way, batch) ?? 0));
      const isOurs = result.engine === 'wp-models';
      const note = [result.precision, result.backend].filter(Boolean).join(' · ');
      return { name: result.engine, note, isOurs, value, label: value.toFixed(value < 100 ? 1 : 0) };
    });
  const warning = softwareWarning({ limits: report.limits ?? {}, results });
  const row = (cells, cell) =>
    html`<tr>
      ${cells.map((text) => html`<${cell}>${escapeText(text)}</${cell}>`)}
    </tr>`;
  return html`<section>
    <h2>${escapeText(report.what ?? 'unnamed')}</h2>
    ${facts({ limits: {}, ...report })} ${report.error ? html`<p class="failed">${escapeText(report.error)}</p>` : ''}
    ${warning ? html`<p class="failed">${warning}</p>` : ''}
    <div class="plots">${batches.map((batch) => barPlot(`Sentences a second, batch ${batch}`, bars(batch)))}</div>
    <ul class="ratios">
      ${encoderRatios(results).map(
        ({ ours, peer, batch, ratio }) =>
          html`<li>
            <b>${ratio.toFixed(2)} ×</b><span>batch ${batch}</span>
            <span class="against">${escapeText(`${ours} ÷ ${peer}`)}</span>
          </li>`,
      )}
    </ul>
    <div class="scroll">
      <table>
        <thead>
          ${row(encoderColumns(batches), 'th')}
        </thead>
        <tbody>
          ${results.map((result) => row(encoderCells(result, batches), 'td'))}
        </tbody>
      </table>
    </div>
    ${report.command ? html`<pre><code>${escapeText(report.command)}</code></pre>` : ''}
  </section>`;
}

function section(report) {
  if (report.kind === 'encoder') return encoderSection(report);
  const warning = softwareWarning(report);
  return html`<section>
    <h2>${escapeText(report.what ?? 'unnamed')}</h2>
    ${facts(report)} ${report.error ? html`<p class="failed">${escapeText(report.error)}</p>` : ''}
    ${warning ? html`<p class="failed">${warning}</p>` : ''} ${plots(report)} ${ratioTiles(report)} ${table(report)}
    ${report.results.map((result) => [tuningDetails(result), kernelDetails(result, report.limits)])}
    ${report.command ? html`<pre><code>${escapeText(report.command)}</code></pre>` : ''}
  </section>`;
}

/** @param {object[]} reports as `npm run bench` writes them @param {string} style */
export function reportPage(reports, style) {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>wp-models: how fast</title>
        <style>
          ${style}
        </style>
      </head>
      <body>
        <main>
          <header>
            <h1>How fast</h1>
            <p>
              Tokens a second of wp-models and of its peers, each section measured on one page in one run; medians of
              several rounds. A share says how much of the fastest possible decode was reached: every token has to read
              the weights once, and this machine reads no faster than its limit. Compare within a section only.
            </p>
          </header>
          ${reports.flatMap(sectionsOf).map(section)}
        </main>
      </body>
    </html> `;
}

/** Reads the JSON files of a folder and writes report.html beside them. @returns {Promise<string>} its path */
export async function writeReportPage(folder = RESULTS) {
  await mkdir(folder, { recursive: true });
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort();
  if (names.length === 0) throw new Error(`There are no results in ${folder}: measure something first.`);
  const reports = [];
  for (const name of names) {
    const report = JSON.parse(await readFile(`${folder}/${name}`, 'utf8'));
    if (!Array.isArray(report.results)) throw new Error(`${name} is not a result of the bench.`);
    reports.push(report);
  }
  const style = await readFile(new URL('./report.css', import.meta.url), 'utf8');
  const path = `${folder}/report.html`.replace('//', '/');
  await writeFile(path, reportPage(reports, style));
  return path;
}
