import { Postgres } from '@nestbox/postgres';
import { TypeOrmTransactions } from '@nestbox/typeorm';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { In, type EntityManager, type Repository } from 'typeorm';
import { ProductEntity } from '../database/entities/product.entity.js';
import type { Preconditions } from '../http/entity-tag.js';
import { fromCursor, toCursor } from '../http/page-cursor.js';
import { preconditionFailed } from '../http/problem.js';
import { LiveNews } from '../live/live-news.js';
import type { Product } from './product.js';
import { ProductCache, type Versioned } from './product-cache.js';
import { toColumns, toProduct, toVersioned } from './product-row.js';
import { changeStock, NotEnoughError, type Quantity } from './stock.js';

/** What has become of a product. */
interface Change {
  id: string;
  /** Undefined where it was deleted. */
  product: Product | undefined;
  version: bigint;
}

/** The products of the shop. */
@Injectable()
export class Catalogue {
  constructor(
    @InjectRepository(ProductEntity) private readonly products: Repository<ProductEntity>,
    private readonly transactions: TypeOrmTransactions,
    private readonly cache: ProductCache,
    private readonly news: LiveNews,
    private readonly postgres: Postgres,
  ) {}

  /** As it may have been a few seconds ago where a cache is in use; for showing, not for deciding. */
  glance(id: string): Promise<Versioned | undefined> {
    return this.cache.read(id, () => this.find(id));
  }

  async find(id: string): Promise<Versioned | undefined> {
    const row = await this.products.findOneBy({ id });
    return row === null ? undefined : toVersioned(row);
  }

  /** Those that are there, by their ids. */
  async findAll(ids: readonly string[]): Promise<Map<string, Versioned>> {
    const rows = await this.products.findBy({ id: In(ids) });
    return new Map(rows.map((row) => [row.id, toVersioned(row)]));
  }

  /** In the byte order of the ids. @throws InvalidArgumentError for a bad cursor */
  async list({ prefix, cursor, limit }: { prefix: string; cursor?: string | undefined; limit: number }) {
    // The lower bound is for the index; it holds where the text begins like that.
    const query = this.products
      .createQueryBuilder('product')
      .where('product.id >= :prefix and starts_with(product.id, :prefix)', { prefix })
      .orderBy('product.id')
      // One more tells whether there are more.
      .limit(limit + 1);
    if (cursor !== undefined) query.andWhere('product.id > :after', { after: fromCursor(cursor) });
    const rows = await query.getMany();
    const page = rows.slice(0, limit);
    return {
      products: page.map((row) => ({ id: row.id, product: toProduct(row) })),
      cursor: rows.length > limit ? toCursor(page.at(-1)!.id) : undefined,
    };
  }

  /** @throws ProblemError with 412 when the conditions do not hold */
  put(
    id: string,
    product: Product,
    conditions: Preconditions,
  ): Promise<{ created: boolean; version: bigint }> {
    return this.transactions.run(async (manager) => {
      const found = await this.lock(manager, id);
      const current = versionOf(found);
      if (!conditions.allowWrite(current)) throw preconditionFailed(current);
      let version = 1;
      if (found !== null) {
        await manager.update(ProductEntity, { id }, { ...toColumns(product), deletedAt: null });
        version = found.version + 1;
      } else if (!(await insertNew(manager, id, product))) {
        // Somebody else has made it meanwhile.
        return this.put(id, product, conditions);
      }
      this.tellAfterCommit([{ id, product, version: BigInt(version) }]);
      return { created: current === undefined, version: BigInt(version) };
    });
  }

  /** False when there is none. @throws ProblemError with 412 when the conditions do not hold */
  delete(id: string, conditions: Preconditions): Promise<boolean> {
    return this.transactions.run(async (manager) => {
      const found = await this.lock(manager, id);
      const current = versionOf(found);
      if (current === undefined) return false;
      if (!conditions.allowWrite(current)) throw preconditionFailed(current);
      // A deletion takes a version too.
      await manager.softDelete(ProductEntity, { id });
      this.tellAfterCommit([{ id, product: undefined, version: current + 1n }]);
      return true;
    });
  }

  /**
   * Takes what an order wants off the stock, in the transaction that it is called in.
   *
   * @returns the products as they are now, by their ids
   * @throws NotEnoughError where there is not enough of one: the transaction is to be rolled back
   */
  async take(wanted: readonly Quantity[]): Promise<Map<string, Versioned>> {
    const taken = await this.changeStock(wanted);
    const missing = wanted.flatMap(({ productId }) => (taken.has(productId) ? [] : [productId]));
    if (missing.length > 0) throw new NotEnoughError(missing);
    return taken;
  }

  /** Puts back what an order has taken, as {@link take} takes it. A product that is not there any more has no stock. */
  async giveBack(items: readonly Quantity[]): Promise<void> {
    await this.changeStock(items.map(({ productId, quantity }) => ({ productId, quantity: -quantity })));
  }

  private async changeStock(wanted: readonly Quantity[]): Promise<Map<string, Versioned>> {
    const rows = await changeStock(this.transactions.manager, wanted);
    const changed = new Map(Array.from(rows, ([id, row]) => [id, toVersioned(row)] as const));
    this.tellAfterCommit(Array.from(changed, ([id, now]) => ({ id, ...now })));
    return changed;
  }

  /** Also one that was deleted; null where there never was one. */
  private lock(manager: EntityManager, id: string): Promise<ProductEntity | null> {
    return manager.findOne(ProductEntity, {
      where: { id },
      withDeleted: true,
      lock: { mode: 'pessimistic_write' },
    });
  }

  /**
   * Who looks is told when it is committed, since then the row that others may wait for is free: a publish may need a
   * connection of its own.
   */
  private tellAfterCommit(changes: readonly Change[]): void {
    this.postgres.currentTransaction!.afterCommit(async () => {
      await Promise.all(
        changes.map(async ({ id, product, version }) => {
          // Nobody has to wait until everybody else knows, and it never rejects.
          void this.news.productChanged(id, product, version);
          await this.cache.changed(id, product, version);
        }),
      );
    });
  }
}

function versionOf(found: ProductEntity | null): bigint | undefined {
  return found === null || found.deletedAt !== null ? undefined : BigInt(found.version);
}

/** False where there is one already. */
async function insertNew(manager: EntityManager, id: string, product: Product): Promise<boolean> {
  const { raw } = await manager
    .createQueryBuilder()
    .insert()
    .into(ProductEntity)
    .values({ id, ...toColumns(product) })
    .orIgnore()
    .returning('id')
    .execute();
  return (raw as unknown[]).length > 0;
}
