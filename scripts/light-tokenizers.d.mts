import type { Plugin } from 'rollup';

export function lightTokenizers(code: string): string;
export function withLightTokenizers(): Plugin;
