import type { PageShops } from '../support/page-shops.js';
import type { TestBrowser } from '../support/test-browser.js';

/** Of the page and its files, as they are sent. */
const MAX_BYTES = 40_000;

/** As a browser does that has it already; `fetch` of Node's own would ask for a new one. */
const ASKING_AGAIN = { Accept: '*/*', 'Cache-Control': 'max-age=0' };

export function describeLoading(browser: TestBrowser, shops: PageShops): void {
  describe('when it is loaded', () => {
    beforeAll(async () => {
      for (let i = 0; i < 12; i++) await shops.stocked(10);
    });

    it('is small, and loads nothing that has not changed', async () => {
      const window = await browser.open(shops.first.url);
      const files = [...window.loaded].filter(([url]) => /\/(page\/.*)?$/.test(url));
      const sizes = await Promise.all(files.map(([, size]) => size));
      expect(files.length).toBeGreaterThan(5);
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(MAX_BYTES);

      for (const [url] of files) {
        const path = new URL(url).pathname;
        const { headers, status } = await shops.first.get(path, { Accept: '*/*' });
        expect({ path, status, cache: headers.get('cache-control') }).toEqual({
          path,
          status: 200,
          cache: 'no-cache',
        });
        const etag = headers.get('etag')!;
        const again = await shops.first.get(path, { ...ASKING_AGAIN, 'If-None-Match': etag });
        expect({ path, status: again.status, text: again.text }).toEqual({ path, status: 304, text: '' });
        expect(again.headers.get('etag')).toBe(etag);
        const changed = await shops.first.get(path, { ...ASKING_AGAIN, 'If-None-Match': '"old"' });
        expect(changed.status).toBe(200);
        // What is not compressed is another representation, so it has another tag.
        const plain = await shops.first.get(path, { Accept: '*/*', 'Accept-Encoding': 'identity' });
        expect(plain.headers.get('content-encoding')).toBeNull();
        expect(plain.headers.get('vary')).toMatch(/Accept-Encoding/);
        expect(plain.headers.get('etag')).not.toBe(etag);
      }
    });

    it('names all that it is made of, so that nothing is found out late', async () => {
      const window = await browser.open(shops.first.url);
      const named = await window.page
        .locator('link[rel=modulepreload], script[type=module]')
        .evaluateAll((nodes) => nodes.map((node) => node.getAttribute('href') ?? node.getAttribute('src')));
      const scripts = [...window.loaded.keys()].filter((url) => url.endsWith('.js'));
      expect(named.map((path) => `${shops.first.url}/${path}`).toSorted()).toEqual(scripts.toSorted());
      const styles = [...window.loaded.keys()].filter((url) => url.endsWith('.css'));
      expect(styles).toHaveLength(1);
    });

    it.each(['br', 'gzip'])(
      'sends its files compressed as %s, each under a tag of its own',
      async (encoding) => {
        for (const path of ['/', '/page/style.css', '/page/page.js']) {
          const accept = { Accept: 'text/html, */*' };
          const plain = await shops.first.get(path, { ...accept, 'Accept-Encoding': 'identity' });
          const [one, again] = await Promise.all(
            [shops.first, shops.second].map((shop) =>
              shop.get(path, { ...accept, 'Accept-Encoding': encoding }),
            ),
          );
          expect(one!.headers.get('content-encoding')).toBe(encoding);
          expect(Number(one!.headers.get('content-length'))).toBeLessThan(plain.text.length / 2);
          expect([one!.text, again!.text]).toEqual([plain.text, plain.text]);
          // The same at every instance, whichever answers the next time.
          expect(again!.headers.get('etag')).toBe(one!.headers.get('etag'));
          expect(one!.headers.get('etag')).not.toBe(plain.headers.get('etag'));
        }
        const refused = await shops.first.get('/page/page.js', { 'Accept-Encoding': `${encoding};q=0` });
        expect(refused.headers.get('content-encoding')).toBeNull();
      },
    );

    it('serves its files, and none beside them', async () => {
      expect((await shops.first.get('/page/style.css')).headers.get('content-type')).toMatch(/^text\/css/);
      for (const path of [
        '/page/none.js',
        '/page/index.html',
        '/page/base.css',
        '/page/style%2fbase.css',
        '/page/..%2fpackage.json',
        '/page/%2e%2e/x.js',
      ]) {
        expect((await shops.first.get(path)).status).toBe(404);
      }
    });

    it('runs under a policy that lets nothing else in', async () => {
      const policy = (await shops.first.get('/', { Accept: 'text/html' })).headers.get(
        'content-security-policy',
      );
      expect(policy).toMatch(/default-src 'none'.*script-src 'self'/);
      expect(policy).not.toMatch(/unsafe|https:|\*/);
      const window = await browser.open(shops.first.url);
      window.allow(/Content Security Policy/);
      await window.page.evaluate(`document.body.append(
        Object.assign(document.createElement('script'), { textContent: 'window.wasFooled = true' }))`);
      expect(await window.page.evaluate('window.wasFooled')).toBeUndefined();
    });

    it('does not jump while it fills', async () => {
      for (const viewport of [
        { width: 1280, height: 900 },
        { width: 360, height: 740 },
      ]) {
        const window = await browser.open(shops.first.url, { viewport });
        await window.page.locator('#health > li').first().waitFor();
        const shift = await window.page.evaluate(`new Promise((resolve) => {
          const observer = new PerformanceObserver(() => {});
          observer.observe({ type: 'layout-shift', buffered: true });
          requestAnimationFrame(() => requestAnimationFrame(() =>
            resolve(observer.takeRecords().reduce((sum, { value }) => sum + value, 0))));
        })`);
        expect(shift).toBeLessThan(0.02);
      }
    });
  });
}
