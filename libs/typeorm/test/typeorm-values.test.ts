import type { TestDatabase } from '@nestbox/testing';
import type { TypeOrmTransactions } from '@nestbox/typeorm';
import fc from 'fast-check';
import type { DataSource, EntityManager, Repository } from 'typeorm';
import { CUSTOMER, type Customer } from './support/data-sources.js';
import { CASES, type Subject, createTables, openSubject } from './support/subject.js';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTables();
});
afterAll(() => database.drop());

describe.each(CASES)('$name, with a Postgres of $connections', ({ typeorm, connections }) => {
  let subject: Subject;
  let dataSource: DataSource;
  let transactions: TypeOrmTransactions;
  let customers: Repository<Customer>;

  beforeAll(async () => {
    subject = await openSubject(typeorm, connections, database.url);
    ({ dataSource, transactions, customers } = subject);
  });
  beforeEach(() => subject.empty());
  afterAll(() => subject.close());

  it('fails as TypeORM does', async () => {
    await customers.save({ id: 'a', name: 'Ann' });
    const twice = (manager: EntityManager): Promise<unknown> =>
      manager.insert(CUSTOMER, { id: 'a', name: 'again' }).catch((error: unknown) => error);
    const own = await dataSource
      .transaction(async (manager) => {
        const error = await twice(manager);
        throw error;
      })
      .catch((error: unknown) => error);
    const shared = await transactions
      .run(async (manager) => {
        const error = await twice(manager);
        throw error;
      })
      .catch((error: unknown) => error);
    expect(shared).toBeInstanceOf(typeorm.QueryFailedError);
    const fields = ({ driverError: e }: { driverError: Record<string, unknown> }) => ({
      code: e['code'],
      constraint: e['constraint'],
      table: e['table'],
      detail: e['detail'],
      message: e['message'],
    });
    expect(fields(shared as never)).toEqual(fields(own as never));
    expect(fields(shared as never)).toMatchObject({ code: '23505', constraint: 'customer_pkey' });
  });

  it('reads and writes every type as the data source does by itself', async () => {
    const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0'));
    const when = fc.date({ min: new Date('1900-01-01'), max: new Date('2199-12-31'), noInvalidDate: true });
    const nullable = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(arbitrary);
    const customer: fc.Arbitrary<Customer> = fc.record({
      id: fc.constant('x'),
      name: text,
      credit: nullable(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String)),
      visits: fc.integer({ min: -1000, max: 1000 }),
      born: nullable(fc.constantFrom('1999-12-31', '2024-02-29', '0044-03-15')),
      seen: nullable(when),
      local: nullable(when),
      tags: nullable(fc.array(text)),
      address: nullable(
        fc.dictionary(
          text.filter((key) => key !== '__proto__'),
          text,
          { noNullPrototype: true },
        ),
      ),
      list: nullable(fc.array(fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null)))),
      photo: nullable(fc.uint8Array().map((bytes) => Buffer.from(bytes))),
      active: fc.boolean(),
      score: nullable(
        fc
          .integer()
          .map((value) => (value / 100).toFixed(4))
          .filter((value) => value.length < 13),
      ),
    });
    await fc.assert(
      fc.asyncProperty(customer, async (value) => {
        const put = async (manager: EntityManager): Promise<Customer | null> => {
          await manager.query('delete from customer');
          await manager.insert(CUSTOMER, value);
          return manager.findOneBy<Customer>(CUSTOMER, { id: 'x' });
        };
        const shared = await transactions.run(put);
        const seenOutside = await customers.findOneBy({ id: 'x' });
        const own = await dataSource.transaction(put);
        expect(shared).toEqual(own);
        expect(seenOutside).toEqual(own);
      }),
      { numRuns: 60 },
    );
  });
});
