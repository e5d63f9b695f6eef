import { readFile } from 'node:fs/promises';
import { expectCart, expectStatus } from '../support/expectations.js';
import { idOf, type PageShops } from '../support/page-shops.js';
import type { ShopPage } from '../support/shop-page.js';
import type { TestBrowser } from '../support/test-browser.js';

const HOSTILE = '<img src=x onerror="window.wasFooled=true"> "\'&amp;\u202E<b>bold</b>';

/** Faults of the page as it is, found in the page itself; see the script. */
async function faultsOf(window: ShopPage): Promise<unknown> {
  return window.page.evaluate(await readFile(new URL('../in-page/faults.js', import.meta.url), 'utf8'));
}

async function widthOf(window: ShopPage): Promise<unknown> {
  return window.page.evaluate('document.documentElement.scrollWidth');
}

export function describeAccessibility(browser: TestBrowser, shops: PageShops): void {
  describe('for everybody', () => {
    it.each([
      ['light', 1280],
      ['light', 360],
      ['dark', 1280],
      ['dark', 360],
    ] as const)(
      'has names, labels, headings and contrast in every state, %s and %i px wide',
      async (colorScheme, width) => {
        const pen = await shops.stocked(3);
        const window = await browser.open(shops.first.url, { colorScheme, viewport: { width, height: 800 } });
        const looksWell = async (): Promise<void> => {
          await window.eventually(async () => expect(await faultsOf(window)).toEqual([]));
          expect(await widthOf(window)).toBe(width);
        };
        await looksWell();
        await window.find(idOf(pen));
        await window.add(pen);
        await expectCart(window, `1 × ${pen} €2.50`);
        await looksWell();
        await window.checkOut('', '');
        await window.page.getByText('Tell us your name.').waitFor();
        await looksWell();
        await window.checkOut();
        await expectStatus(window, 'paid');
        await looksWell();
        await window.page.getByRole('button', { name: `Cancel: 1 × ${pen}` }).click();
        await expectStatus(window, 'cancelled');
        await looksWell();
        await window.page.getByRole('button', { name: 'New cart' }).click();
        await window.find('nothing begins like this');
        await window.page.getByText('There is none whose id').waitFor({ state: 'attached' });
        await looksWell();
      },
    );

    it('can be bought from with the keyboard alone, and always shows where one is', async () => {
      const pen = await shops.stocked(3);
      const window = await browser.open(shops.first.url);
      const { keyboard } = window.page;
      /** Goes on by Tab to what has such a name. */
      const tabTo = async (name: string): Promise<void> => {
        for (let i = 0; i < 200; i++) {
          await keyboard.press('Tab');
          const [label, isShown] = (await window.page.evaluate(FOCUSED)) as [string, boolean];
          expect({ label, isShown }).toEqual({ label, isShown: true });
          if (label === name) return;
        }
        throw new Error(`Nobody gets to ${name} by Tab.`);
      };
      await tabTo('Find products whose id begins with');
      await keyboard.type(idOf(pen));
      await window.eventually(async () => expect(await window.products.count()).toBe(1));
      await tabTo(`Add ${pen} to the cart`);
      await keyboard.press('Enter');
      await expectCart(window, `1 × ${pen} €2.50`);
      await keyboard.press('Space');
      await expectCart(window, `2 × ${pen} €5.00`);
      await tabTo(`Remove one: ${pen}`);
      await keyboard.press('Enter');
      await expectCart(window, `1 × ${pen} €2.50`);
      await tabTo('Name');
      await keyboard.type('Ada');
      await tabTo('E-mail');
      await keyboard.type('keyboard@example.org');
      await keyboard.press('Enter');
      await expectStatus(window, 'paid');
      // The form is gone, and the focus is where one goes on.
      expect(await window.page.evaluate('document.activeElement.textContent')).toBe('Follow your order');
      await keyboard.press('Enter');
      await tabTo(`Packed: 1 × ${pen}: €2.50`);
      await keyboard.press('Enter');
      await expectStatus(window, 'shipped');
      // The button is gone, too.
      expect(await window.page.evaluate('document.activeElement.localName')).toBe('summary');
    });

    it('shows names as they are, whatever is in them', async () => {
      await shops.put('hostile', { name: HOSTILE, description: HOSTILE, price: 100, stock: 9 });
      const long = 'Looong'.repeat(33);
      await shops.put('hostile-long', { name: long, price: 100_000_000, stock: 1_000_000_000 });
      const window = await browser.open(shops.first.url, { viewport: { width: 360, height: 800 } });
      await window.find('hostile');
      await window.eventually(async () =>
        expect(await window.page.locator('#products .name').allTextContents()).toEqual([HOSTILE, long]),
      );
      for (const product of ['hostile', 'hostile-long']) {
        await window.page.locator(`#products [data-key=${product}] .add`).click();
      }
      await expectCart(window, `1 × ${HOSTILE} €1.00`, `1 × ${long} €1,000,000.00`);
      await window.checkOut(HOSTILE, 'hostile@example.org');
      await expectStatus(window, 'paid');
      // In a sentence it turns nothing that stands behind it.
      expect(await window.orders.first().locator('.what').textContent()).not.toContain('\u202E');
      await window.page.locator('#sales .name', { hasText: long }).waitFor();
      await window.page.getByLabel('Say something').fill(HOSTILE);
      await window.page.getByRole('button', { name: 'Send' }).click();
      await window.page.locator('#announcements > li', { hasText: HOSTILE }).waitFor();
      expect(await window.page.locator('img, b').count()).toBe(0);
      expect(await window.page.evaluate('window.wasFooled')).toBeUndefined();
      expect(await widthOf(window)).toBe(360);
      expect(await faultsOf(window)).toEqual([]);
    });

    it('writes names from right to left and times of other days so that they can be read', async () => {
      const window = await browser.open(shops.first.url, { timezoneId: 'Asia/Kathmandu' });
      const written = await window.page.evaluate(`import('/page/words.js').then(({ listOf, timeOf }) => [
        listOf([{ quantity: 1200, name: 'Pen' }, { quantity: 1, name: 'עט' }]),
        timeOf('2026-01-31T20:00:00Z'),
        /^\\d+:\\d\\d:\\d\\d\\s[AP]M$/.test(timeOf(new Date().toISOString())),
      ])`);
      expect(written).toEqual([
        '1,200 × Pen, 1 × \u2068עט\u2069',
        expect.stringMatching(/^Feb 1, 2026, 1:45\sAM$/),
        true,
      ]);
    });
  });
}

/** The name of what has the focus, and whether one sees that it has: by an outline, within the window. */
const FOCUSED = `(() => {
  const { activeElement: node } = document;
  const box = node.getBoundingClientRect();
  const { outlineStyle, outlineWidth } = getComputedStyle(node);
  const isSeen = box.width > 0 && box.bottom > 0 && box.top < innerHeight;
  return [
    (node.getAttribute('aria-label') ?? node.labels?.[0]?.textContent ?? node.textContent).trim(),
    outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 && isSeen,
  ];
})()`;
