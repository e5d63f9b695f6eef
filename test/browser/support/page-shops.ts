import { randomBytes } from 'node:crypto';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import { type RunningShop, startShop } from '../../support/running-shop.js';

/** Quick, and slow enough to see each step. */
const ENV = { PAYMENT_LATENCY: '30ms', CARRIER_LATENCY: '30ms', NODE_LEASE: '2s' };

/** Instances of the shop on a database of their own, for a suite of the page. */
export class PageShops implements AsyncDisposable {
  private readonly running: RunningShop[] = [];
  private database: TestDatabase | undefined;

  static async started(count: number, env: Record<string, string> = {}): Promise<PageShops> {
    const shops = new PageShops();
    try {
      await shops.start(count, env);
    } catch (error) {
      await shops[Symbol.asyncDispose]();
      throw error;
    }
    return shops;
  }

  async start(count: number, env: Record<string, string> = {}): Promise<void> {
    this.database = await testDatabase();
    await Promise.all(Array.from({ length: count }, () => this.add(env)));
  }

  /** Starts one more. */
  async add(env: Record<string, string> = {}): Promise<RunningShop> {
    const shop = await startShop({ ...ENV, DATABASE_URL: this.database!.url, ...env });
    this.running.push(shop);
    return shop;
  }

  get first(): RunningShop {
    return this.running[0]!;
  }

  get second(): RunningShop {
    return this.running[1]!;
  }

  /** Puts a product into the catalogue. @returns its name, which no other one has */
  async stocked(stock: number, price = 250, kind = 'Pen'): Promise<string> {
    const name = `${kind} ${randomBytes(4).toString('hex')}`;
    await this.put(idOf(name), { name, price, stock });
    return name;
  }

  async put(id: string, product: object): Promise<void> {
    const { status } = await this.first.put(`/products/${encodeURIComponent(id)}`, product);
    if (status !== 201) throw new Error(`The product was answered with ${status}.`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.running.map((shop) => shop[Symbol.asyncDispose]()));
    await this.database?.drop();
  }
}

/** As people type it into the search. */
export function idOf(name: string): string {
  return name.toLowerCase().replaceAll(' ', '-');
}
