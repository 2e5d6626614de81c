// Lines over the windows of a text, as an SVG that takes its colours from the page around it. The scale begins near the least
// number, so that differences are seen: its ends are written beside it.

export interface Line {
  name: 'model' | 'reference';
  values: readonly number[];
}

const WIDTH = 420;
const HEIGHT = 170;

export function linePlot(title: string, lines: readonly Line[]): string {
  const values = lines.flatMap((line) => line.values);
  const [least, most, step] = niceScale(Math.min(...values), Math.max(...values));
  const y = (value: number): number => HEIGHT - ((value - least) / (most - least)) * HEIGHT;
  const count = lines[0]!.values.length;
  const x = (i: number): number => (count > 1 ? (i / (count - 1)) * WIDTH : WIDTH / 2);
  const grid: string[] = [];
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  for (let value = least; value <= most + step / 2; value += step) {
    const at = y(value).toFixed(1);
    grid.push(
      `<line x1="0" y1="${at}" x2="${WIDTH}" y2="${at}"/><text x="-8" y="${at}" dy="5" text-anchor="end">${value.toFixed(digits)}</text>`,
    );
  }
  const paths = lines.map(({ name, values: line }) => {
    // A single window is a point: drawn as a short line.
    const points =
      line.length > 1 ? line.map((value, i) => [x(i), y(value)]) : [-4, 4].map((d) => [x(0) + d, y(line[0]!)]);
    return `<path class="${name}" d="M${points.map(([px, py]) => `${px!.toFixed(1)},${py!.toFixed(1)}`).join('L')}"/>`;
  });
  const legend =
    lines.length > 1
      ? lines.map(
          ({ name }, i) =>
            `<path class="${name}" d="M${90 * i},${HEIGHT + 25}h24"/><text x="${90 * i + 30}" y="${HEIGHT + 30}">${name}</text>`,
        )
      : [];
  return `<section><h2>${title}</h2><svg viewBox="-58 -12 ${WIDTH + 66} ${HEIGHT + 50}" role="img" aria-label="${title}">
${[...grid, ...paths, ...legend].join('')}
<text x="${WIDTH}" y="${HEIGHT + 30}" text-anchor="end">${count === 1 ? '1 window' : `${count} windows`}</text></svg></section>`;
}

/** Ends that a person would choose, and the distance of the lines between them. */
function niceScale(least: number, most: number): [number, number, number] {
  const range = Math.max(most - least, Math.abs(most) * 1e-3, 1e-6);
  const power = 10 ** Math.floor(Math.log10(range / 3));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => range / one <= 4)!;
  const low = Math.floor(least / step) * step;
  return [low, Math.max(low + step, Math.ceil(most / step) * step), step];
}
