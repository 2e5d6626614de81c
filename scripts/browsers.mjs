// Finds the browsers that the tests and benches drive, and says how to start them. Chromium: CHROME_PATH, an installed
// Chrome or Chromium, the one inside @sparticuz/chromium (Linux), else Playwright's, downloaded once. Firefox: only an
// installed one. Prefer `chromium()` and `firefox()`, which return puppeteer launch options.

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir, platform } from 'node:os';
import { delimiter, join } from 'node:path';

/** @returns {string | undefined} the first of `names` that stands in a folder of PATH */
export function findOnPath(...names) {
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  const endings = platform() === 'win32' ? ['.exe', '.cmd', ''] : [''];
  for (const name of names) {
    for (const folder of folders) {
      for (const ending of endings) {
        const path = join(folder, name + ending);
        if (existsSync(path)) return path;
      }
    }
  }
  return undefined;
}

function installedChromium() {
  const fromPath = findOnPath('chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'chrome');
  if (fromPath && platform() !== 'win32') return fromPath;
  const programFolders = [process.env.PROGRAMFILES, process.env['PROGRAMFILES(X86)'], process.env.LOCALAPPDATA].filter(
    Boolean,
  );
  const places = {
    darwin: [
      '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
      '/Applications/Chromium.app/Contents/MacOS/Chromium',
      join(homedir(), 'Applications/Google Chrome.app/Contents/MacOS/Google Chrome'),
      '/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge',
    ],
    win32: programFolders.flatMap((folder) => [
      join(folder, 'Google/Chrome/Application/chrome.exe'),
      join(folder, 'Chromium/Application/chrome.exe'),
      join(folder, 'Microsoft/Edge/Application/msedge.exe'),
    ]),
    linux: ['/opt/google/chrome/chrome', '/snap/bin/chromium'],
  };
  return (places[platform()] ?? []).find((path) => existsSync(path));
}

/** @returns {boolean} whether @sparticuz/chromium is installed and made for this machine */
export function findPackagedChromium() {
  if (platform() !== 'linux' || process.arch !== 'x64') return false;
  return existsSync(new URL('../node_modules/@sparticuz/chromium/bin', import.meta.url));
}

/** Unpacks the Chromium of @sparticuz/chromium; its SwiftShader libraries land beside it. */
async function packagedChromium() {
  if (!findPackagedChromium()) return undefined;
  const { default: packaged } = await import('@sparticuz/chromium').catch(() => ({ default: undefined }));
  if (!packaged) return undefined;
  try {
    const path = await packaged.executablePath();
    execFileSync(path, ['--version', '--no-sandbox'], { stdio: 'ignore' });
    return path;
  } catch (error) {
    console.warn(`The Chromium of @sparticuz/chromium does not start here: ${error.message.split('\n')[0]}`);
    return undefined;
  }
}

async function playwrightChromium() {
  const { chromium } = await import('playwright');
  if (existsSync(chromium.executablePath())) return chromium.executablePath();
  console.log('No Chromium found: downloading Playwright’s (once).');
  const npx = platform() === 'win32' ? 'npx.cmd' : 'npx';
  execFileSync(npx, ['playwright', 'install', 'chromium'], { stdio: 'inherit', shell: platform() === 'win32' });
  return chromium.executablePath();
}

/** @returns {Promise<string>} the executable of a Chromium; throws when none can be had */
export async function findChromium() {
  if (process.env.CHROME_PATH) {
    if (!existsSync(process.env.CHROME_PATH)) throw new Error(`CHROME_PATH=${process.env.CHROME_PATH} does not exist.`);
    return process.env.CHROME_PATH;
  }
  return installedChromium() ?? (await packagedChromium()) ?? (await playwrightChromium());
}

/** @returns {string | undefined} the executable of an installed Firefox */
export function findFirefox() {
  if (process.env.FIREFOX_PATH) {
    if (!existsSync(process.env.FIREFOX_PATH))
      throw new Error(`FIREFOX_PATH=${process.env.FIREFOX_PATH} does not exist.`);
    return process.env.FIREFOX_PATH;
  }
  const places = {
    darwin: ['/Applications/Firefox.app/Contents/MacOS/firefox'],
    win32: [process.env.PROGRAMFILES, process.env['PROGRAMFILES(X86)']]
      .filter(Boolean)
      .map((folder) => join(folder, 'Mozilla Firefox/firefox.exe')),
  };
  return (
    findOnPath('firefox-esr', 'firefox') ?? (places[platform()] ?? []).find((path) => existsSync(path)) ?? undefined
  );
}

/** A sandbox cannot be had as root, nor in most containers that CI runs in. */
const withoutSandbox = () => process.getuid?.() === 0 || Boolean(process.env.CI);

/**
 * WebGPU on any machine: through SwiftShader where there is no GPU. WP_GPU=1 keeps the machine's own adapter.
 * The rest keeps the browser from talking to anyone while tests run.
 */
export function chromiumFlags() {
  return [
    '--enable-unsafe-webgpu',
    ...(process.env.WP_GPU ? ['--enable-features=Vulkan'] : ['--use-webgpu-adapter=swiftshader']),
    '--disable-background-networking',
    '--disable-background-timer-throttling',
    '--disable-component-update',
    '--disable-dev-shm-usage',
    '--disable-quic',
    '--disable-sync',
    '--no-default-browser-check',
    '--no-first-run',
    ...(withoutSandbox() ? ['--no-sandbox'] : []),
  ];
}

/** Firefox ships WebGPU behind preferences on Linux; lavapipe counts as a CPU adapter. */
export const firefoxPreferences = {
  'dom.webgpu.enabled': true,
  'dom.webgpu.workers.enabled': true,
  'dom.webgpu.allow-cpu-adapter': true,
  'gfx.webgpu.ignore-blocklist': true,
  'browser.shell.checkDefaultBrowser': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'app.update.enabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'dom.min_background_timeout_value': 4,
};

/** puppeteer launch options for Chromium. */
export async function chromium() {
  return {
    browser: 'chrome',
    executablePath: await findChromium(),
    headless: true,
    args: chromiumFlags(),
    protocolTimeout: 600_000,
  };
}

/**
 * puppeteer launch options for a Chromium whose WebNN computes (on the CPU), or undefined where it does not start: the one inside
 * @sparticuz/chromium, since distributions and branded builds leave the service out on Linux.
 */
export async function chromiumWithWebNn() {
  const executablePath = await packagedChromium();
  if (!executablePath) return undefined;
  const args = [...chromiumFlags(), '--enable-features=WebMachineLearningNeuralNetwork'];
  return { browser: 'chrome', executablePath, headless: true, args, protocolTimeout: 600_000 };
}

/** puppeteer launch options for Firefox (WebDriver BiDi), or undefined where none is installed. */
export function firefox() {
  const executablePath = findFirefox();
  if (!executablePath) return undefined;
  return {
    browser: 'firefox',
    executablePath,
    headless: true,
    extraPrefsFirefox: firefoxPreferences,
    protocolTimeout: 600_000,
  };
}
