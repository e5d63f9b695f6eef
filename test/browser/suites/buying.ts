import { expectAnswered, expectCart, expectStatus, expectStock } from '../support/expectations.js';
import { idOf, type PageShops } from '../support/page-shops.js';
import type { TestBrowser } from '../support/test-browser.js';

export function describeBuying(browser: TestBrowser, shops: PageShops): void {
  describe('where somebody buys', () => {
    it('shows each step of an order live, and the stock in another window at another instance', async () => {
      const pen = await shops.stocked(5);
      const buyer = await browser.open(shops.first.url);
      const other = await browser.open(shops.second.url);
      await Promise.all([buyer.find(idOf(pen)), other.find(idOf(pen))]);
      await expectStock(other, pen, '5 left');
      await buyer.add(pen);
      await buyer.add(pen);
      await expectCart(buyer, `2 × ${pen} €5.00`);
      await buyer.checkOut();

      await buyer.page.getByText('It is paid and waits to be packed').waitFor();
      expect(await buyer.steps()).toEqual([
        'Reserve the stock: done',
        'Open a payment: done',
        'Charge the card: done',
        'Note the payment: done',
        'Wait until it is packed: waiting',
      ]);
      await expectStock(other, pen, '3 left');
      await other.orders.filter({ hasText: `2 × ${pen}: €5.00` }).waitFor();
      await expectStatus(other, 'paid');

      await buyer.page.getByRole('button', { name: `Packed: 2 × ${pen}` }).click();
      await expectStatus(buyer, 'shipped');
      await expectStatus(other, 'shipped');
      await buyer.eventually(async () => expect(await buyer.steps()).toContain('Close the order: done'));
      expect((await buyer.steps()).every((step) => step.endsWith(': done'))).toBe(true);
      await buyer.page.locator('#news', { hasText: 'Your order is shipped' }).waitFor();
    });

    it('keeps the account of who has bought', async () => {
      const pen = await shops.stocked(5);
      const buyer = await browser.open(shops.first.url);
      await buyer.find(idOf(pen));
      await buyer.add(pen);
      await buyer.checkOut('Grace Hopper', 'Grace@example.org');
      const account = buyer.page.locator('#account-orders > tr', { hasText: `1 × ${pen}` });
      await account.locator('.status', { hasText: 'paid' }).waitFor();
      expect(await account.locator('.total').textContent()).toBe('€2.50');

      // Bought without a cart, it is the same customer's.
      await buyer.buy(pen);
      await buyer.page.getByText('2 orders, €5.00 in all.').waitFor();
      await buyer.reload();
      await buyer.page.getByText('Grace Hopper, grace@example.org').waitFor();
      await buyer.page.getByRole('button', { name: 'Forget me' }).click();
      await buyer.page.getByText('You get one when you check out').waitFor();
      expect(await buyer.page.getByText('Grace Hopper').count()).toBe(0);
    });

    it('sells in a new browser to who has bought before, and shows nothing of that there', async () => {
      const [pen, ink] = [await shops.stocked(5), await shops.stocked(5)];
      const email = `${idOf(pen)}@example.org`;
      const before = await browser.open(shops.first.url);
      await before.find(idOf(pen));
      await before.add(pen);
      await before.checkOut('Ada', email);
      await before.page.getByText('1 order, €2.50 in all.').waitFor();

      const now = await browser.open(shops.second.url);
      await now.find(idOf(ink));
      await now.add(ink);
      await now.checkOut('Ada', email);
      await now.page.getByText('1 order, €2.50 in all.').waitFor();
      expect(await now.page.locator('#account-orders .name').allTextContents()).toEqual([`1 × ${ink}`]);
      expect(await now.orders.filter({ hasText: pen }).locator('.own').isVisible()).toBe(false);
      // Who has bought here is forgotten in every window.
      const beside = await browser.openBeside(now);
      await beside.page.getByText(`Ada, ${email}`).waitFor();
      await now.page.getByRole('button', { name: 'Forget me' }).click();
      for (const window of [now, beside]) {
        await window.page.getByText('You get one when you check out').waitFor();
        await window.page.getByText('Nothing in it yet.').waitFor();
        await window.eventually(async () =>
          expect(await window.page.locator('.own:visible').count()).toBe(0),
        );
      }
    });

    it('shows a new price at once, and says on a small screen what has become of a press', async () => {
      const pen = await shops.stocked(5);
      const window = await browser.open(shops.first.url, { viewport: { width: 360, height: 220 } });
      window.allow(/status of 409/);
      await window.find(idOf(pen));
      await window.product(pen).getByText('€2.50').waitFor();
      await shops.second.put(`/products/${idOf(pen)}`, { name: pen, price: 123_456, stock: 12_345 });
      await window.product(pen).getByText('€1,234.56').waitFor();
      await expectStock(window, pen, '12,345 left');
      // Wherever a click scrolls to, the cart is below the window's end, and the problem of the products above its begin.
      await window.page.evaluate(`
        document.querySelector('#cart-status').style.marginTop = '2000px';
        document.querySelector('#products-table').style.marginTop = '2000px';
      `);
      await window.add(pen);
      await window.page.locator('#news', { hasText: `${pen} is in your cart.` }).waitFor();
      await expectCart(window, `1 × ${pen} €1,234.56`);
      await window.page.route('**/orders', (route) =>
        route.request().method() === 'POST'
          ? route.fulfill({ status: 409, json: { detail: 'Somebody was quicker.' } })
          : route.continue(),
      );
      await window.buy(pen);
      await window.page.locator('#news', { hasText: 'Somebody was quicker.' }).waitFor();
      await window.page.locator('#products-problem', { hasText: 'Somebody was quicker.' }).waitFor();
    });

    it('makes one order of a double click', async () => {
      const pen = await shops.stocked(5);
      const buyer = await browser.open(shops.first.url);
      await buyer.find(idOf(pen));
      await buyer.page.getByRole('button', { name: `Buy ${pen} now` }).dblclick();
      await expectStatus(buyer, 'paid');
      await expectStock(buyer, pen, '4 left');
      await buyer.reload();
      expect(await buyer.orders.filter({ hasText: pen }).count()).toBe(1);
    });

    it('makes one order of a double click, also when the first click is answered before the second', async () => {
      const pen = await shops.stocked(5);
      const buyer = await browser.open(shops.first.url);
      await buyer.find(idOf(pen));
      const button = buyer.page.getByRole('button', { name: `Buy ${pen} now` });
      await button.click();
      await expectStatus(buyer, 'paid');
      await expectAnswered(buyer, button);
      await button.hover();
      await buyer.page.mouse.down({ clickCount: 2 });
      await buyer.page.mouse.up({ clickCount: 2 });
      await expectAnswered(buyer, button);
      await button.click();
      await expectStock(buyer, pen, '3 left');
      await buyer.reload();
      expect(await buyer.orders.filter({ hasText: pen }).count()).toBe(2);
    });

    it('makes one order of two taps that are close, and two of two that are not', async () => {
      const pen = await shops.stocked(5);
      const buyer = await browser.open(shops.first.url);
      await buyer.find(idOf(pen));
      const button = buyer.page.getByRole('button', { name: `Buy ${pen} now` });
      const tapAt = async (ms: number): Promise<void> => {
        await button.evaluate((node, timeStamp) => {
          const tap = new Event('click', { bubbles: true });
          node.dispatchEvent(
            Object.defineProperties(tap, {
              timeStamp: { value: timeStamp },
              detail: { value: 1 },
              pointerType: { value: 'touch' },
            }),
          );
        }, ms);
      };
      await tapAt(10_000);
      await expectStock(buyer, pen, '4 left');
      await expectStatus(buyer, 'paid');
      await expectAnswered(buyer, button);
      await tapAt(10_300);
      await expectAnswered(buyer, button);
      await tapAt(11_000);
      await expectStock(buyer, pen, '3 left');
      await buyer.reload();
      expect(await buyer.orders.filter({ hasText: pen }).count()).toBe(2);
    });

    it('makes one order of a key that is held', async () => {
      const pen = await shops.stocked(5);
      const buyer = await browser.open(shops.first.url);
      await buyer.find(idOf(pen));
      const button = buyer.page.getByRole('button', { name: `Buy ${pen} now` });
      await button.focus();
      await buyer.page.keyboard.down('Enter');
      await expectStatus(buyer, 'paid');
      await expectAnswered(buyer, button);
      for (let repeats = 0; repeats < 5; repeats++) await buyer.page.keyboard.down('Enter');
      await buyer.page.keyboard.up('Enter');
      await expectAnswered(buyer, button);
      await button.press('Enter');
      await expectStock(buyer, pen, '3 left');
      await buyer.reload();
      expect(await buyer.orders.filter({ hasText: pen }).count()).toBe(2);
    });

    it('makes one order of what it has asked for twice, since the first answer was lost', async () => {
      const pen = await shops.stocked(5);
      const buyer = await browser.open(shops.first.url);
      buyer.allow(/ERR_FAILED/);
      await buyer.find(idOf(pen));
      const keys: unknown[] = [];
      await buyer.page.route('**/orders', async (route) => {
        if (route.request().method() !== 'POST') return route.continue();
        keys.push(route.request().headers()['idempotency-key']);
        if (keys.length > 1) return route.continue();
        await route.fetch();
        await route.abort();
      });
      await buyer.buy(pen);
      await buyer.page.getByText('Your order is paid.').waitFor();
      expect(keys).toHaveLength(2);
      expect(keys[1]).toBe(keys[0]);
      await expectStock(buyer, pen, '4 left');
      expect(await buyer.orders.filter({ hasText: pen }).count()).toBe(1);
    });

    it('places after a reload the order that had no answer before', async () => {
      const pen = await shops.stocked(5);
      const buyer = await browser.open(shops.first.url);
      buyer.allow(/ERR_FAILED|ERR_ABORTED/);
      await buyer.find(idOf(pen));
      await buyer.page.route('**/orders', (route) =>
        route.request().method() === 'POST' ? route.abort() : route.continue(),
      );
      await buyer.buy(pen);
      await buyer.page.locator('#connection[data-state=away]').waitFor();
      await buyer.page.unrouteAll();
      await buyer.reload();
      await buyer.orders.filter({ hasText: `1 × ${pen}` }).waitFor();
      await buyer.find(idOf(pen));
      await expectStock(buyer, pen, '4 left');
    });

    it('keeps the cart when it is loaded anew, and shows it in every window', async () => {
      const [pen, ink] = [await shops.stocked(5), await shops.stocked(5, 1234)];
      const buyer = await browser.open(shops.first.url);
      await buyer.find(idOf(pen));
      await buyer.add(pen);
      await expectCart(buyer, `1 × ${pen} €2.50`);
      await buyer.reload();
      await expectCart(buyer, `1 × ${pen} €2.50`);
      const beside = await browser.openBeside(buyer);
      await expectCart(beside, `1 × ${pen} €2.50`);
      await buyer.find(idOf(ink));
      await buyer.add(ink);
      await expectCart(beside, `1 × ${pen} €2.50`, `1 × ${ink} €12.34`);
      await beside.page.getByRole('button', { name: `Remove all: ${pen}` }).click();
      await expectCart(buyer, `1 × ${ink} €12.34`);
      await beside.checkOut();
      await buyer.page.getByText('This is ordered.').waitFor();
      // What is added now goes into a new one, in both.
      await buyer.add(ink);
      await expectCart(beside, `1 × ${ink} €12.34`);
      await beside.page.getByText('1 piece in it.').waitFor();
    });

    it('says what the shop refuses, in its words', async () => {
      const pen = await shops.stocked(1);
      const buyer = await browser.open(shops.first.url);
      buyer.allow(/status of 409/);
      await buyer.find(idOf(pen));
      await buyer.add(pen);
      await buyer.add(pen);
      await expectCart(buyer, `2 × ${pen} €5.00`);
      await buyer.checkOut('', '');
      expect(await buyer.problem.allTextContents()).toEqual([
        'Tell us your name.',
        'Tell us an e-mail address, such as ada@example.org.',
      ]);
      await buyer.checkOut();
      await buyer.page.locator('#checkout-problem', { hasText: 'Only 1 of' }).waitFor();
      await buyer.page.getByRole('button', { name: `Remove one: ${pen}` }).click();
      await expectCart(buyer, `1 × ${pen} €2.50`);
      await buyer.page.getByLabel('Pay with').selectOption('card_declined');
      await buyer.checkOut();
      await expectStatus(buyer, 'cancelled');
      await buyer.orders.first().locator('.problem', { hasText: 'declined' }).waitFor();
      await expectStock(buyer, pen, '1 left');
    });

    it('finds products by the beginning of their ids, page by page', async () => {
      const names = Array.from({ length: 15 }, (_, i) => `Zebra ${String(i + 10)}`);
      for (const name of names) await shops.put(idOf(name), { name, price: 100, stock: 1 });
      const window = await browser.open(shops.second.url);
      const shown = () => window.page.locator('#products .name').allTextContents();
      await window.find('Zebra ');
      await window.eventually(async () => expect(await shown()).toEqual(names.slice(0, 12)));
      await window.page.getByRole('button', { name: 'Next' }).click();
      await window.eventually(async () => expect(await shown()).toEqual(names.slice(12)));
      expect(await window.page.getByRole('button', { name: 'Next' }).getAttribute('aria-disabled')).toBe(
        'true',
      );
      await window.page.getByRole('button', { name: 'Previous' }).click();
      await window.eventually(async () => expect(await shown()).toEqual(names.slice(0, 12)));
      await window.find('zebra-%');
      const none = window.page.getByText('There is none whose id begins with “zebra-%”.');
      await none.waitFor();
      expect((await none.boundingBox())!.height).toBeGreaterThan(10);
      await window.find('');
      await window.eventually(async () => expect((await shown()).length).toBeGreaterThan(0));
    });
  });
}
