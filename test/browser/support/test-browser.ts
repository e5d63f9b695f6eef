import { type Browser, type BrowserContextOptions, chromium } from 'playwright-core';
import type { FoundChromium } from './find-chromium.js';
import { ShopPage } from './shop-page.js';

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** How long the page may take to show something, on a machine that is busy. */
const TIMEOUT_MS = 30_000;

/** A Chromium for a test file, and the windows that are open in it. */
export class TestBrowser {
  private browser: Browser | undefined;
  private windows: ShopPage[] = [];

  constructor(private readonly found: FoundChromium) {}

  async launch(): Promise<void> {
    if ('missing' in this.found) throw new Error(this.found.missing);
    this.browser = await chromium.launch({ executablePath: this.found.path, args: FLAGS });
  }

  /** A window of a person of their own, who has never been here. */
  async open(url: string, options: BrowserContextOptions = {}): Promise<ShopPage> {
    const context = await this.browser!.newContext({
      viewport: { width: 1280, height: 900 },
      reducedMotion: 'reduce',
      ...options,
    });
    context.setDefaultTimeout(TIMEOUT_MS);
    return this.watch(new ShopPage(await context.newPage(), url));
  }

  /** Another window of the same person. */
  async openBeside(window: ShopPage, url = window.url): Promise<ShopPage> {
    return this.watch(new ShopPage(await window.page.context().newPage(), url));
  }

  /** Closes all windows; fails where something went wrong in one, whatever the test was about. */
  async closeWindows(): Promise<void> {
    const windows = this.windows.splice(0);
    await Promise.all(windows.map((window) => window.page.context().close()));
    const problems = windows.flatMap((window) => window.problems);
    if (problems.length > 0) throw new Error(`In the browser:\n${problems.join('\n')}`);
  }

  async close(): Promise<void> {
    await this.browser?.close();
  }

  private async watch(window: ShopPage): Promise<ShopPage> {
    this.windows.push(window);
    await window.load();
    return window;
  }
}
