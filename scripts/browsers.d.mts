import type { LaunchOptions } from 'puppeteer-core';

export function findOnPath(...names: string[]): string | undefined;
export function findChromium(): Promise<string>;
export function findFirefox(): string | undefined;
export function chromiumFlags(): string[];
export const firefoxPreferences: Readonly<Record<string, unknown>>;
/** puppeteer launch options for Chromium, WebGPU included. */
export function chromium(): Promise<LaunchOptions>;
/** puppeteer launch options for Firefox, or undefined where none is installed. */
export function firefox(): LaunchOptions | undefined;
