import { jest } from '@jest/globals';
import { describeAccessibility } from './suites/accessibility.js';
import { describeBuying } from './suites/buying.js';
import { describeCrash } from './suites/crash.js';
import { describeHealth } from './suites/health.js';
import { describeHistory } from './suites/history.js';
import { describeLoading } from './suites/loading.js';
import { findChromium, isCi } from './support/find-chromium.js';
import { PageShops } from './support/page-shops.js';
import { TestBrowser } from './support/test-browser.js';

/** The page of the shop in a real Chromium, all of it in one file, so that one Chromium is enough. */

jest.setTimeout(120_000);

const chromium = await findChromium();

if ('missing' in chromium && !isCi()) {
  process.stderr.write(`The page of the shop is not tested. ${chromium.missing}\n`);
}

const describePage = 'path' in chromium || isCi() ? describe : describe.skip;

describePage('The page of the shop', () => {
  const browser = new TestBrowser(chromium);
  /** Two instances on one database, for all that needs none of its own. */
  const shops = new PageShops();

  beforeAll(async () => {
    await browser.launch();
    await shops.start(2);
  });

  afterEach(() => browser.closeWindows());

  afterAll(async () => {
    await browser.close();
    await shops[Symbol.asyncDispose]();
  });

  describeBuying(browser, shops);
  describeHistory(browser, shops);
  describeCrash(browser);
  describeHealth(browser);
  describeAccessibility(browser, shops);
  describeLoading(browser, shops);
});
