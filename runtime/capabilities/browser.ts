// Which browser this is, from what it says of itself. Used for reasons in plans and for the starting points of kernel
// choice (backends/webgpu/ladder.ts); never to switch a feature on or off: features are detected.

export interface BrowserIdentity {
  name: 'chrome' | 'edge' | 'firefox' | 'safari' | 'samsung' | 'node' | 'other';
  version: string;
  mobile: boolean;
}

const PATTERNS: readonly [BrowserIdentity['name'], RegExp][] = [
  // Order matters: Edge and Samsung Internet also say Chrome, and Chrome also says Safari.
  ['edge', /Edg(?:A|iOS)?\/([\d.]+)/],
  ['samsung', /SamsungBrowser\/([\d.]+)/],
  ['firefox', /(?:Firefox|FxiOS)\/([\d.]+)/],
  ['chrome', /(?:Chrome|CriOS|HeadlessChrome)\/([\d.]+)/],
  ['safari', /Version\/([\d.]+).*Safari/],
];

/** The browser behind a user agent string. */
export function identifyBrowser(userAgent: string): BrowserIdentity {
  const mobile = /Mobi|Android|iPhone|iPad/.test(userAgent);
  const node = /^Node\.js\/(\d+)/.exec(userAgent);
  if (node) return { name: 'node', version: node[1] ?? '', mobile: false };
  for (const [name, pattern] of PATTERNS) {
    const match = pattern.exec(userAgent);
    if (match) return { name, version: match[1] ?? '', mobile };
  }
  return { name: 'other', version: '', mobile };
}
