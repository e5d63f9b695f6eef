import { randomUUID } from 'node:crypto';
import { eventually } from '@nestbox/testing';
import type { Locator, Page } from 'playwright-core';

/** On a machine that is busy, a check of the shop's health may take longer than it has. */
const HEALTH_IN_A_HURRY = /status of 503 .*\/health$/;

const WAIT = { timeoutMs: 30_000 };

/** The page of the shop, as somebody sees it. */
export class ShopPage {
  /** What went wrong: errors on the console, exceptions, and requests to other hosts. */
  readonly problems: string[] = [];
  /** Requests that are to fail do not count: those to a shop that is away, or that is asked for what it refuses. */
  private readonly allowed = [HEALTH_IN_A_HURRY];
  /** Bytes of what was loaded as they came over the wire, by URL. */
  readonly loaded = new Map<string, Promise<number>>();

  constructor(
    readonly page: Page,
    readonly url: string,
  ) {
    const { host } = new URL(url);
    page.on('pageerror', (error) => this.problems.push(`exception: ${error.message}`));
    page.on('console', (message) => {
      if (!['error', 'warning'].includes(message.type())) return;
      const text = `${message.type()}: ${message.text()} ${message.location().url}`;
      if (!this.allowed.some((pattern) => pattern.test(text))) this.problems.push(text);
    });
    page.on('request', (request) => {
      const asked = new URL(request.url());
      if (asked.host !== host) this.problems.push(`request to ${asked.host}`);
    });
    page.on('requestfinished', (request) => {
      const size = request.sizes().then(
        ({ responseBodySize }) => responseBodySize,
        () => 0,
      );
      this.loaded.set(request.url(), size);
    });
  }

  /** Loads it, and waits until it is live and shows products. */
  async load(): Promise<void> {
    await this.page.goto(this.url);
    await this.isLive();
    await this.products.first().waitFor();
  }

  async reload(): Promise<void> {
    await this.page.reload();
    await this.isLive();
    await this.products.first().waitFor();
  }

  async isLive(): Promise<void> {
    await this.page.locator('#connection[data-state=live]').waitFor();
  }

  /** What the browser writes on its console where a request fails. */
  allow(...patterns: RegExp[]): void {
    this.allowed.push(...patterns);
  }

  get products(): Locator {
    return this.page.locator('#products > tr');
  }

  product(name: string): Locator {
    return this.products.filter({ has: this.page.locator('.name', { hasText: name }) });
  }

  get orders(): Locator {
    return this.page.locator('#orders > li');
  }

  get problem(): Locator {
    return this.page.locator('.problem:not(:empty)');
  }

  async find(prefix: string): Promise<void> {
    await this.page.getByLabel('Find products').fill(prefix);
  }

  async add(name: string): Promise<void> {
    await this.page.getByRole('button', { name: `Add ${name} to the cart`, exact: true }).click();
  }

  async buy(name: string): Promise<void> {
    await this.page.getByRole('button', { name: `Buy ${name} now`, exact: true }).click();
  }

  /** What is in the cart, as `2 × Pen €5.00`. */
  async cart(): Promise<string[]> {
    return this.page.locator('#cart-items > tr').evaluateAll((rows) =>
      rows.map((row) =>
        ['.quantity', '.name', '.price']
          .map((part) => row.querySelector(part)?.textContent ?? '')
          .join(' ')
          .replace(' ', ' × '),
      ),
    );
  }

  /** Fills in who buys, and checks out. */
  async checkOut(name = 'Ada Lovelace', email = `${randomUUID()}@example.org`): Promise<void> {
    await this.page.getByLabel('Name', { exact: true }).fill(name);
    await this.page.getByLabel('E-mail').fill(email);
    await this.page.getByRole('button', { name: 'Check out' }).click();
  }

  /** The steps of the newest order, as `Charge the card: done`. */
  async steps(): Promise<string[]> {
    return this.orders
      .first()
      .locator('.steps > li')
      .evaluateAll((rows) =>
        rows.map(
          (row) => `${row.querySelector('.name')?.textContent}: ${row.querySelector('.state')?.textContent}`,
        ),
      );
  }

  eventually<T>(check: () => T | PromiseLike<T>): Promise<T> {
    return eventually(check, WAIT);
  }
}
