import { expectStatus, expectStock } from '../support/expectations.js';
import { idOf, PageShops } from '../support/page-shops.js';
import type { TestBrowser } from '../support/test-browser.js';

/** What Chromium writes on its console while nobody listens at the port. */
const NOBODY_THERE = [
  /ERR_CONNECTION_REFUSED/,
  /ERR_CONNECTION_RESET/,
  /ERR_CONNECTION_CLOSED/,
  /ERR_EMPTY_RESPONSE/,
  /ERR_SOCKET_NOT_CONNECTED/,
  /status of 503/,
];

export function describeCrash(browser: TestBrowser): void {
  describe('when its server is killed', () => {
    let shops: PageShops;

    beforeAll(async () => {
      // The first takes its time to charge a card, so that it can be killed meanwhile.
      shops = await PageShops.started(1, { PAYMENT_LATENCY: '20s', PAYMENT_TIMEOUT: '40s' });
      await shops.add();
    });

    afterAll(() => shops?.[Symbol.asyncDispose]());

    it('sees the order end, and what else has happened, without being loaded anew', async () => {
      const [pen, ink] = [await shops.stocked(5), await shops.stocked(5)];
      const window = await browser.open(shops.first.url);
      window.allow(...NOBODY_THERE);
      await window.find('pen-');
      await window.page.evaluate('window.wasNeverLoadedAnew = true');
      // At the instance that will die, and only there.
      shops.second.process.freeze();
      await window.add(pen);
      await window.checkOut();
      await window.eventually(async () =>
        expect(await window.steps()).toEqual([
          'Reserve the stock: done',
          'Open a payment: done',
          'Charge the card: under way',
        ]),
      );
      await shops.first.process.kill('SIGKILL');
      await window.page.locator('#connection[data-state=away]').waitFor();
      await window.page.getByText('The shop cannot answer right now.').waitFor();
      await window.page.locator('#health > li[data-status=unknown]').first().waitFor();

      // Meanwhile the other instance sells something.
      shops.second.process.unfreeze();
      await shops.second.ready();
      const items = [{ productId: idOf(ink), quantity: 3 }];
      expect((await shops.second.order(`while-away-${idOf(pen)}`, { items })).status).toBe(201);
      // And somebody presses a button of the page.
      await window.buy(ink);

      await shops.add({ PORT: String(shops.first.port) });
      await window.isLive();
      await window.page.getByText('The shop is back.').waitFor();
      await expectStock(window, ink, '1 left');
      await expectStock(window, pen, '4 left');
      const order = window.orders.filter({ hasText: `1 × ${pen}: €2.50` });
      await expectStatus(window, 'paid', order);
      await window.page.getByRole('button', { name: `Packed: 1 × ${pen}` }).click();
      await expectStatus(window, 'shipped', order);
      await order.getByText('Close the order').waitFor();
      expect(await window.orders.filter({ hasText: `1 × ${ink}` }).count()).toBe(1);
      expect(await window.orders.filter({ hasText: `3 × ${ink}` }).count()).toBe(1);
      expect(await window.page.evaluate('window.wasNeverLoadedAnew')).toBe(true);
    });
  });
}
