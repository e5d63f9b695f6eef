import { TypeOrmTransactions } from '@nestbox/typeorm';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, MoreThan, type Repository } from 'typeorm';
import { CustomerEntity, UNIQUE_ID } from '../database/entities/customer.entity.js';
import { violates } from '../database/unique-violation.js';
import type { Preconditions } from '../http/entity-tag.js';
import { fromCursor, toCursor } from '../http/page-cursor.js';
import type { PageQuery } from '../http/paging.js';
import { preconditionFailed } from '../http/problem.js';
import { RefusedError, unknownCustomer } from '../orders/refusals.js';
import type { Customer } from './customer.js';

/** The customers of the shop. */
@Injectable()
export class Customers {
  constructor(
    @InjectRepository(CustomerEntity) private readonly customers: Repository<CustomerEntity>,
    private readonly transactions: TypeOrmTransactions,
  ) {}

  async find(id: string): Promise<CustomerEntity | undefined> {
    return (await this.customers.findOneBy({ id })) ?? undefined;
  }

  /** Nobody is ever deleted, so who is known stays so. @throws RefusedError with 422 */
  async assertKnown(id: string): Promise<void> {
    if (!(await this.customers.existsBy({ id }))) throw new RefusedError(unknownCustomer(id));
  }

  /** In the byte order of the ids. @throws InvalidArgumentError for a bad cursor */
  async list({ cursor, limit }: PageQuery) {
    const rows = await this.customers.find({
      where: cursor === undefined ? {} : { id: MoreThan(fromCursor(cursor)) },
      order: { id: 'asc' },
      // One more tells whether there are more.
      take: limit + 1,
    });
    const page = rows.slice(0, limit);
    return { customers: page, cursor: rows.length > limit ? toCursor(page.at(-1)!.id) : undefined };
  }

  /** @throws ProblemError with 412 when the conditions do not hold */
  async put(
    id: string,
    customer: Customer,
    conditions: Preconditions,
  ): Promise<{ created: boolean; version: bigint }> {
    try {
      return await this.transactions.run((manager) => this.write(manager, id, customer, conditions));
    } catch (error) {
      // Somebody else has made it meanwhile.
      if (violates(error, UNIQUE_ID)) return this.put(id, customer, conditions);
      throw error;
    }
  }

  private async write(
    manager: EntityManager,
    id: string,
    customer: Customer,
    conditions: Preconditions,
  ): Promise<{ created: boolean; version: bigint }> {
    const found = await manager.findOne(CustomerEntity, {
      where: { id },
      lock: { mode: 'pessimistic_write' },
    });
    const current = found === null ? undefined : BigInt(found.version);
    if (!conditions.allowWrite(current)) throw preconditionFailed(current);
    if (current !== undefined) {
      await manager.update(CustomerEntity, { id }, customer);
      return { created: false, version: current + 1n };
    }
    await manager.insert(CustomerEntity, { id, ...customer });
    return { created: true, version: 1n };
  }
}
