import { startRedis, type TestRedis } from '@nestbox/testing';
import { TcpProxy } from '../../support/tcp-proxy.js';
import { expectStatus, expectStock } from '../support/expectations.js';
import { idOf, PageShops } from '../support/page-shops.js';
import type { ShopPage } from '../support/shop-page.js';
import type { TestBrowser } from '../support/test-browser.js';

export function describeHealth(browser: TestBrowser): void {
  describe('with a Redis', () => {
    let redis: TestRedis;
    let link: TcpProxy;
    let shops: PageShops;

    beforeAll(async () => {
      redis = await startRedis();
      link = await TcpProxy.to(redis.port);
      shops = await PageShops.started(1, { REDIS_URL: link.url(redis.url) });
    });

    afterAll(async () => {
      await shops?.[Symbol.asyncDispose]();
      await link?.[Symbol.asyncDispose]();
      await redis?.[Symbol.asyncDispose]();
    });

    /** In words, since a colour alone says nothing to some. */
    async function lights(window: ShopPage): Promise<Record<string, string>> {
      const names = await window.page.locator('#health .name').allTextContents();
      const states = await window.page.locator('#health .state').allTextContents();
      return Object.fromEntries(names.map((name, i) => [name, states[i] ?? '']));
    }

    it('shows a light for each module, which turns when Redis goes away, and when it is back', async () => {
      const pen = await shops.stocked(5);
      const window = await browser.open(shops.first.url);
      const works = {
        PostgreSQL: 'up',
        'Key-value store': 'up',
        'Event store': 'up',
        Workflows: 'up',
        Channels: 'up',
        'Event hub': 'up',
        Redis: 'up',
      };
      await window.eventually(async () => expect(await lights(window)).toMatchObject(works));
      await window.page.getByText('Everything works.').waitFor();

      link.cut();
      await window.eventually(async () =>
        expect(await lights(window)).toMatchObject({ PostgreSQL: 'up', Workflows: 'up', Redis: 'degraded' }),
      );
      await window.page.getByText('The shop limps, but it sells.').waitFor();
      // It does.
      await window.find(idOf(pen));
      await window.buy(pen);
      await expectStatus(window, 'paid');
      await expectStock(window, pen, '4 left');

      link.heal();
      await window.eventually(async () => expect(await lights(window)).toMatchObject(works));
      await window.isLive();
      await window.buy(pen);
      await expectStock(window, pen, '3 left');
    });
  });
}
