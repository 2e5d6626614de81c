// The icons, drawn in the current colour. They are decoration: every control that shows one has a name of its own.

import { svg, type TemplateResult } from 'lit';

const draw = (shape: TemplateResult) => svg`<svg class="icon" viewBox="0 0 20 20" fill="none" stroke="currentColor"
  stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${shape}</svg>`;

export const icons = {
  send: draw(svg`<path d="M10 16V4.5M5 9.2 10 4.2l5 5" />`),
  stop: draw(svg`<rect x="4.5" y="4.5" width="11" height="11" rx="2.2" fill="currentColor" stroke="none" />`),
  copy: draw(
    svg`<rect x="7" y="7" width="9" height="9.5" rx="2" /><path d="M13 4.8A2 2 0 0 0 11.2 3.5H6a2.5 2.5 0 0 0-2.5 2.5v5.2A2 2 0 0 0 4.8 13" />`,
  ),
  done: draw(svg`<path d="m4.5 10.5 3.6 3.6 7.4-8" />`),
  again: draw(svg`<path d="M15.8 9.2A6 6 0 1 0 16 11M16 4.8v4.4h-4.4" />`),
  clear: draw(
    svg`<path d="M3.8 5.8h12.4M8 5.6V4.2A.9.9 0 0 1 8.9 3.3h2.2a.9.9 0 0 1 .9.9v1.4M5.4 5.8l.7 9.2a1.6 1.6 0 0 0 1.6 1.5h4.6a1.6 1.6 0 0 0 1.6-1.5l.7-9.2" />`,
  ),
  settings: draw(
    svg`<path d="M3.5 6h6m5 0h2M3.5 14h2m5 0h6" /><circle cx="12" cy="6" r="2.2" /><circle cx="8" cy="14" r="2.2" />`,
  ),
  down: draw(svg`<path d="M10 4.5v11M5.2 10.8l4.8 4.8 4.8-4.8" />`),
  alert: draw(svg`<path d="M10 6.6v4.2M10 13.7v.1" /><circle cx="10" cy="10" r="7" />`),
  device: draw(
    svg`<rect x="5.5" y="5.5" width="9" height="9" rx="2" /><path d="M8 2.8v2.7M12 2.8v2.7M8 14.5v2.7M12 14.5v2.7M2.8 8h2.7M2.8 12h2.7M14.5 8h2.7M14.5 12h2.7" />`,
  ),
} as const;
