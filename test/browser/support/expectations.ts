import type { Locator } from 'playwright-core';
import type { ShopPage } from './shop-page.js';

/** Waits until an order has come so far. @param order default: the newest */
export async function expectStatus(
  window: ShopPage,
  status: string,
  order: Locator = window.orders.first(),
): Promise<void> {
  await window.eventually(async () => expect(await order.locator('.status').textContent()).toBe(status));
}

/** @param stock such as `5 left` */
export async function expectStock(window: ShopPage, name: string, stock: string): Promise<void> {
  await window.eventually(async () =>
    expect(await window.product(name).locator('.stock').textContent()).toBe(stock),
  );
}

/** @param items such as `2 × Pen €5.00` */
export async function expectCart(window: ShopPage, ...items: string[]): Promise<void> {
  await window.eventually(async () => expect(await window.cart()).toEqual(items));
}

/** Waits until what the press of a button has asked for is answered. */
export async function expectAnswered(window: ShopPage, button: Locator): Promise<void> {
  await window.eventually(async () => expect(await button.getAttribute('aria-busy')).toBeNull());
}
