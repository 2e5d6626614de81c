// The parts of the report that show what is inside a figure: each kernel's time beside the machine's limits (`--profile`), and
// what tuning gained, as a whole and kernel by kernel (`--tune`).

import { barPlot, escapeText } from './plot.mjs';
import { gigabytes, kernelRows, percent, teraflops } from './table.mjs';

/** So many bars; the table has every kernel. */
const MOST_BARS = 8;

const microsecondsOf = (value) => (value < 10 ? value.toFixed(1) : String(Math.round(value)));

/** Kernels of one kind differ by their matrix: rows × columns of it. */
function sizeOf(variant) {
  const [rows, columns] = ['rows', 'columns'].map((field) => new RegExp(` ${field}=(\\d+)`).exec(variant)?.[1]);
  return rows && columns ? `${rows} × ${columns}` : '';
}

/** @returns {string} nothing where no kernel was timed */
export function kernelDetails(result, limits) {
  const rows = kernelRows(result, limits);
  if (rows.length === 0) return '';
  const bars = (value) =>
    rows.slice(0, MOST_BARS).map((row) => ({
      name: [row.operation, sizeOf(row.variant)].filter(Boolean).join(' '),
      note: `${row.calls} × ${microsecondsOf(row.microseconds)} µs`,
      isOurs: true,
      value: value(row),
      label: percent(value(row)),
    }));
  const plots = [
    barPlot(
      'Share of a decode step',
      bars(({ ofStep }) => ofStep),
      1,
    ),
    barPlot(
      'Bytes a second, of the limit',
      bars(({ byBytes }) => byBytes),
      1,
    ),
    barPlot(
      'Operations a second, of the limit',
      bars(({ byFlops }) => byFlops),
      1,
    ),
  ];
  const head = ['kernel', 'calls', 'µs a call', 'of a step', 'bytes', 'of limit', 'operations', 'of limit', 'variant'];
  const cells = rows.map((row) => [
    row.operation,
    row.calls,
    microsecondsOf(row.microseconds),
    percent(row.ofStep),
    gigabytes(row.bytesPerSecond),
    percent(row.byBytes),
    teraflops(row.flopsPerSecond),
    percent(row.byFlops),
    row.variant,
  ]);
  return `<h3>Kernels of a decode step</h3>
<p class="hint">Each timed by itself, by the GPU’s timestamps. A kernel whose data fits a cache reads faster than memory does. The
limit of operations is that of plain shader instructions; matrix units and integer products may exceed it.</p>
<div class="plots">${plots.join('')}</div>${table(head, cells)}`;
}

/** @returns {string} nothing where nothing was tuned */
export function tuningDetails({ tuning, promptTokensPerSecond, decodeTokensPerSecond }) {
  if (!tuning) return '';
  const { choices, untuned, milliseconds, compilingMilliseconds, timer, remaining = [] } = tuning;
  const speeds = (key, tuned) =>
    [
      { name: 'tuned', isOurs: true, value: tuned },
      { name: 'as it was', isOurs: false, value: untuned?.[key] },
    ].map((bar) => ({ ...bar, note: '', label: Number.isFinite(bar.value) ? bar.value.toFixed(1) : '–' }));
  const gains = choices.map(({ key, standardMicroseconds, bestMicroseconds, chosen }) => ({
    name: key.split(' ')[0],
    note: `${microsecondsOf(standardMicroseconds)} → ${microsecondsOf(bestMicroseconds)} µs`,
    isOurs: Boolean(chosen),
    value: bestMicroseconds / standardMicroseconds,
    label: percent(bestMicroseconds / standardMicroseconds),
  }));
  const plots = [
    barPlot('Decode, tokens a second', speeds('decodeTokensPerSecond', decodeTokensPerSecond)),
    barPlot('Prompt, tokens a second', speeds('promptTokensPerSecond', promptTokensPerSecond)),
    barPlot('Best variant, of the time as it was', gains.slice(0, MOST_BARS), 1),
  ];
  const cells = choices.map(({ key, chosen, standardMicroseconds, bestMicroseconds }) => [
    key,
    microsecondsOf(standardMicroseconds),
    microsecondsOf(bestMicroseconds),
    chosen ? JSON.stringify(chosen) : 'as it was',
  ]);
  const left =
    remaining.length > 0
      ? `, ${remaining.length} ${remaining.length === 1 ? 'kernel' : 'kernels'} left for another time`
      : '';
  return `<h3>Tuning</h3>
<p class="hint">${Math.round(milliseconds)} ms of measuring and ${Math.round(compilingMilliseconds)} ms of compilers, by ${escapeText(timer)}${left}.
The rates are of rounds in turns with the same model untuned.</p>
<div class="plots">${plots.join('')}</div>${table(['kernel', 'as it was, µs', 'best, µs', 'taken'], cells)}`;
}

function table(head, rows) {
  if (rows.length === 0) return '';
  const isNumber = (i) => rows.every((cells) => /^(–|[\d.,]+( .*)?)$/.test(String(cells[i])));
  const row = (tag) => (cells) =>
    `<tr>${cells.map((cell, i) => `<${tag}${isNumber(i) ? ' class="number"' : ''}>${escapeText(cell)}</${tag}>`).join('')}</tr>`;
  return `<div class="scroll"><table><thead>${row('th')(head)}</thead><tbody>${rows.map(row('td')).join('')}</tbody></table></div>`;
}
