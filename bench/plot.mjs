// Horizontal bars as inline SVG, coloured by the page's style.

const WIDTH = 360;
const ROW_HEIGHT = 44;
const BAR_HEIGHT = 12;
const LABEL_WIDTH = 70;

export const escapeText = (text) => String(text).replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

/**
 * @param {string} title
 * @param {{ name: string, note: string, isOurs: boolean, value: number, label: string }[]} bars a bar without a finite value
 *   is left out
 * @param {number} [full] what a whole bar is; by default the largest value
 * @returns {string} a figure, or nothing where there is no bar
 */
export function barPlot(title, bars, full) {
  const finite = bars.filter(({ value }) => Number.isFinite(value));
  if (finite.length === 0) return '';
  const whole = full ?? Math.max(...finite.map(({ value }) => value));
  const span = WIDTH - LABEL_WIDTH;
  const rows = finite.map((bar, row) => {
    const top = row * ROW_HEIGHT;
    // A little of a bar is always seen.
    const width = Math.max(2, span * Math.min(1, bar.value / whole));
    const barTop = top + 22;
    const track = full ? `<rect class="track" y="${barTop}" width="${span}" height="${BAR_HEIGHT}" rx="3"/>` : '';
    return `<text class="name" y="${top + 15}">${escapeText(bar.name)}<tspan class="note" dx="8">${escapeText(bar.note)}</tspan></text>
${track}<rect class="${bar.isOurs ? 'ours' : 'peer'}" y="${barTop}" width="${width.toFixed(1)}" height="${BAR_HEIGHT}" rx="3"/>
<text class="value" x="${((full ? span : width) + 8).toFixed(1)}" y="${barTop + 10.5}">${escapeText(bar.label)}</text>`;
  });
  const described = finite.map(({ name, label }) => `${name} ${label}`).join(', ');
  return `<figure><figcaption>${escapeText(title)}</figcaption>
<svg viewBox="0 0 ${WIDTH} ${finite.length * ROW_HEIGHT}" role="img" aria-label="${escapeText(`${title}: ${described}`)}">
${rows.join('\n')}
</svg></figure>`;
}
