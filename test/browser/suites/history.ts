import { expectCart } from '../support/expectations.js';
import { idOf, type PageShops } from '../support/page-shops.js';
import type { ShopPage } from '../support/shop-page.js';
import type { TestBrowser } from '../support/test-browser.js';

export function describeHistory(browser: TestBrowser, shops: PageShops): void {
  describe('where somebody looks back', () => {
    let pen: string;
    let ink: string;

    beforeAll(async () => {
      [pen, ink] = [await shops.stocked(50, 250, 'Quill'), await shops.stocked(50, 1000, 'Quill')];
    });

    /** A cart with five events. */
    async function filled(): Promise<ShopPage> {
      const window = await browser.open(shops.first.url);
      await window.find('quill-');
      await window.add(pen);
      await window.add(ink);
      await window.add(pen);
      await expectCart(window, `2 × ${pen} €5.00`, `1 × ${ink} €10.00`);
      await window.page.getByRole('button', { name: `Remove one: ${ink}` }).click();
      await historyIs(window, ...sentences());
      return window;
    }

    const sentences = () => [
      '5. 1 × ' + ink + ' removed',
      '4. 1 × ' + pen + ' added',
      '3. 1 × ' + ink + ' added',
      '2. 1 × ' + pen + ' added',
      '1. Opened',
    ];

    async function historyIs(window: ShopPage, ...events: string[]): Promise<void> {
      const entries = window.page.locator('#cart-history button');
      await window.eventually(async () => expect((await entries.allInnerTexts()).map(flat)).toEqual(events));
    }

    async function thenIs(window: ShopPage, title: string, ...items: string[]): Promise<void> {
      await window.eventually(async () => {
        expect(await window.page.locator('#cart-then').textContent()).toBe(title);
        expect(await window.page.locator('#cart-then-items > li').allTextContents()).toEqual(items);
      });
    }

    it('shows what has happened to the cart, and what was in it at any version', async () => {
      const window = await filled();
      await thenIs(window, 'In the cart now: €5.00', `2 × ${pen}: €5.00`);
      const slider = window.page.getByRole('slider', { name: 'Version 5 of 5' });
      await slider.focus();
      await slider.press('ArrowLeft');
      await thenIs(window, 'In the cart after 4 events: €15.00', `2 × ${pen}: €5.00`, `1 × ${ink}: €10.00`);
      expect(await window.page.getByRole('slider').getAttribute('aria-valuetext')).toBe(
        `Version 4: 1 × ${pen} added`,
      );
      await window.page.getByRole('button', { name: `2. 1 × ${pen} added` }).click();
      await thenIs(window, 'In the cart after 2 events: €2.50', `1 × ${pen}: €2.50`);
      await window.page.getByRole('slider').press('Home');
      await thenIs(window, 'In the cart after 1 event: nothing');
      // What is in the cart now stays as it is.
      expect(await window.cart()).toEqual([`2 × ${pen} €5.00`]);
      await window.page.getByRole('slider').press('End');
      await thenIs(window, 'In the cart now: €5.00', `2 × ${pen}: €5.00`);
    });

    it('goes on while somebody looks at an old version, and follows the newest otherwise', async () => {
      const window = await filled();
      const link = await window.page
        .getByRole('link', { name: 'This cart in another window' })
        .getAttribute('href');
      const other = await browser.open(`${shops.second.url}/${link}`);
      await historyIs(other, ...sentences());
      await other.page.getByRole('button', { name: `2. 1 × ${pen} added` }).click();
      await thenIs(other, 'In the cart after 2 events: €2.50', `1 × ${pen}: €2.50`);
      await window.checkOut();
      await historyIs(other, '6. Ordered', ...sentences());
      await thenIs(window, 'In the cart now: €5.00', `2 × ${pen}: €5.00`);
      await thenIs(other, 'In the cart after 2 events: €2.50', `1 × ${pen}: €2.50`);
    });

    it('does not forget the own cart where somebody looks at another one', async () => {
      const theirs = await filled();
      const link = await theirs.page
        .getByRole('link', { name: 'This cart in another window' })
        .getAttribute('href');
      const window = await browser.open(shops.first.url);
      await window.find(idOf(ink));
      await window.add(ink);
      await expectCart(window, `1 × ${ink} €10.00`);
      await window.page.evaluate(`location.hash = ${JSON.stringify(link)}`);
      await expectCart(window, `2 × ${pen} €5.00`);
      await window.page.getByRole('link', { name: 'Cart', exact: true }).click();
      await expectCart(window, `1 × ${ink} €10.00`);
    });
  });
}

function flat(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
