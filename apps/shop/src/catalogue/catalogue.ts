import { KeyValueStore } from '@nestbox/kv';
import { Injectable } from '@nestjs/common';
import { LiveNews } from '../live/live-news.js';
import { deleteEntry, putEntry } from '../http/conditional.js';
import type { Preconditions } from '../http/entity-tag.js';
import { type Product, PRODUCTS } from './product.js';
import { ProductCache, type Versioned } from './product-cache.js';

/** How many of a product an order takes, and the state in which that many were there. */
export interface Taking extends Versioned {
  id: string;
  quantity: number;
}

/** The products of the shop, in a namespace of its store. */
@Injectable()
export class Catalogue {
  private readonly products: KeyValueStore<Product>;

  constructor(
    store: KeyValueStore,
    private readonly cache: ProductCache,
    private readonly news: LiveNews,
  ) {
    this.products = store.namespace<Product>(PRODUCTS);
  }

  /** As it may have been a few seconds ago where a cache is in use; for showing, not for deciding. */
  glance(id: string): Promise<Versioned | undefined> {
    return this.cache.read(id, () => this.find(id));
  }

  async find(id: string): Promise<Versioned | undefined> {
    const entry = await this.products.entry(id);
    return entry && { product: entry.value, version: entry.version };
  }

  async list(options: { prefix: string; cursor?: string | undefined; limit: number }) {
    const { entries, cursor } = await this.products.list(options);
    return { products: entries.map(({ key, value }) => ({ id: key, product: value })), cursor };
  }

  /** @throws ProblemError with 412 when the conditions do not hold */
  async put(id: string, product: Product, conditions: Preconditions) {
    const written = await putEntry(this.products, id, product, conditions);
    await this.cache.changed(id, product, written.version);
    await this.news.stockChanged(id, product.stock, written.version);
    return written;
  }

  /** False when there is none. @throws ProblemError with 412 when the conditions do not hold */
  async delete(id: string, conditions: Preconditions): Promise<boolean> {
    const deleted = await deleteEntry(this.products, id, conditions);
    if (deleted === undefined) return false;
    // A deletion takes a version too.
    await this.cache.changed(id, undefined, deleted.version + 1n);
    await this.news.stockChanged(id, null, deleted.version + 1n);
    return true;
  }

  /**
   * Takes what an order wants off the stock: everything, or nothing and undefined when a product has changed since
   * it was read. Joins the transaction it is called in. Gives what to pass to {@link taken} after its commit.
   */
  async take(takings: readonly Taking[]): Promise<Changed[] | undefined> {
    return this.restock(takings.map((taking) => ({ ...taking, quantity: -taking.quantity })));
  }

  /**
   * Puts back what an order has taken, as {@link take} takes it. A product that is not there any more has no stock.
   */
  async giveBack(items: readonly { productId: string; quantity: number }[]): Promise<Changed[] | undefined> {
    const found = await Promise.all(
      items.map(async ({ productId: id, quantity }) => {
        const entry = await this.find(id);
        return entry === undefined ? [] : [{ id, quantity, ...entry }];
      }),
    );
    return this.restock(found.flat());
  }

  private async restock(changesOfStock: readonly Taking[]): Promise<Changed[] | undefined> {
    if (changesOfStock.length === 0) return [];
    const changes = this.products.atomic();
    const changed = new Map<string, Product>();
    for (const { id, quantity, product, version } of changesOfStock) {
      const left = { ...product, stock: product.stock + quantity };
      changes.check(id, version).set(id, left);
      changed.set(id, left);
    }
    const result = await changes.commit();
    if (!result.ok) return undefined;
    for (const [id, version] of result.versions) {
      await this.news.stockChanged(id, changed.get(id)!.stock, version);
    }
    return Array.from(result.versions, ([id, version]) => ({ id, product: changed.get(id)!, version }));
  }

  /** Shows what was taken. */
  async taken(changed: readonly Changed[]): Promise<void> {
    await Promise.all(changed.map(({ id, product, version }) => this.cache.changed(id, product, version)));
  }
}

/** A product that was taken from. */
export interface Changed extends Versioned {
  id: string;
}
