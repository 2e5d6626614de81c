// The look that the elements share: every value a page may want to change is a custom property `--wp-*`, set on the
// element or above it. The private names `--_*` are what the styles use. Colours come in pairs, for light and dark.

import { css } from 'lit';

export const tokens = css`
  :host {
    color-scheme: light dark;
    --_font: var(
      --wp-font-family,
      ui-sans-serif,
      system-ui,
      -apple-system,
      'Segoe UI',
      Roboto,
      'Noto Sans',
      sans-serif
    );
    --_font-code: var(--wp-font-family-code, ui-monospace, 'SF Mono', 'Cascadia Code', Menlo, Consolas, monospace);
    --_size: var(--wp-font-size, 0.9375rem);
    --_radius: var(--wp-radius, 16px);
    --_surface: var(--wp-color-surface, light-dark(#fffefa, #15181a));
    --_raised: var(--wp-color-raised, light-dark(#f5f3ec, #1e2225));
    --_sunken: var(--wp-color-sunken, light-dark(#faf8f2, #101315));
    --_text: var(--wp-color-text, light-dark(#1f2123, #e9e8e3));
    --_quiet: var(--wp-color-quiet, light-dark(#5d5f5c, #a3a7a5));
    --_line: var(--wp-color-line, light-dark(#e4e0d5, #2d3336));
    --_line-strong: light-dark(
      color-mix(in oklab, var(--_line), #000 14%),
      color-mix(in oklab, var(--_line), #fff 16%)
    );
    --_accent: var(--wp-color-accent, light-dark(#0b6a5c, #6ad6bf));
    --_on-accent: var(--wp-color-on-accent, light-dark(#ffffff, #06251f));
    --_accent-soft: light-dark(
      color-mix(in oklab, var(--_accent) 9%, var(--_surface)),
      color-mix(in oklab, var(--_accent) 14%, var(--_surface))
    );
    --_danger: var(--wp-color-danger, light-dark(#a2321c, #ffa18c));
    --_danger-soft: var(--wp-color-danger-soft, light-dark(#fcefeb, #321e1a));
    --_weights: var(--wp-color-weights, light-dark(#0b6a5c, #4fb8a3));
    --_cache: var(--wp-color-cache, light-dark(#c98a1b, #e0b04f));
    --_activations: var(--wp-color-activations, light-dark(#7b5aa6, #b296dc));
    --_ease: cubic-bezier(0.2, 0.7, 0.2, 1);
    font: 400 var(--_size) / 1.6 var(--_font);
    color: var(--_text);
    text-align: start;
  }
  :host([theme='light']) {
    color-scheme: light;
  }
  :host([theme='dark']) {
    color-scheme: dark;
  }
  :host([hidden]) {
    display: none !important;
  }
  *,
  *::before,
  *::after {
    box-sizing: border-box;
  }
  @media (prefers-reduced-motion: reduce) {
    *,
    *::before,
    *::after {
      animation-duration: 0.01ms !important;
      animation-iteration-count: 1 !important;
      transition-duration: 0.01ms !important;
      scroll-behavior: auto !important;
    }
  }
`;
