import { Postgres, type TextResult, TransactionClosedError } from '@nestbox/postgres';
import postgresJs from 'postgres';
import { ItemDatabase } from './item-database.js';

let database: ItemDatabase;

beforeAll(async () => {
  database = await ItemDatabase.create();
});
beforeEach(() => database.empty());
afterAll(() => database.drop());

describe.each(['its own connections', 'a client that was passed in'])('a transaction on %s', (kind) => {
  let client: postgresJs.Sql;
  let db: Postgres;

  beforeAll(() => {
    client = postgresJs(database.url, { max: 2 });
    db = new Postgres(kind === 'its own connections' ? { url: database.url } : { client });
  });

  afterAll(async () => {
    await db.close();
    await client.end({ timeout: 5 });
  });

  const ask = (text: string, params: (string | null)[] = []): Promise<TextResult> =>
    db.currentTransaction!.onConnection((connection) => connection.queryText!(text, params));

  it('takes and gives the texts of values, whatever their types', async () => {
    const values = ['7', '{"a": 1}', '"plain"', '2024-02-29', '\\x00ff', '{a,NULL,"b c"}', '12.50', null];
    const result = await db.transaction(() =>
      ask(
        `select $1::bigint as a, $2::jsonb as b, $3::json as c, $4::date as d, $5::bytea as e, $6::text[] as f,
                $7::numeric as g, $8::timestamptz as h`,
        values,
      ),
    );
    expect(result.rows).toEqual([values]);
    expect(result.columns.map(({ name }) => name).join('')).toBe('abcdefgh');
    expect(result.columns.map(({ type }) => type)).toEqual([20, 3802, 114, 1082, 17, 1009, 1700, 1184]);
  });

  it('tells the command and how many rows it was about', async () => {
    await db.transaction(async () => {
      expect(await ask('insert into item (name) values ($1), ($2)', ['a', 'b'])).toMatchObject({
        command: 'INSERT',
        rowCount: 2,
        rows: [],
      });
      expect(await ask('select name from item where name = $1', ['a'])).toMatchObject({
        command: 'SELECT',
        rowCount: 1,
        rows: [['a']],
      });
      expect(await ask('select 1; select 2 as two')).toMatchObject({ rows: [['2']] });
    });
  });

  it('leaves ordinary parameters as they were', async () => {
    await db.transaction(async () => {
      await ask('select $1::jsonb', ['[1]']);
      const [row] = await db.query(
        'select $1::text[] as list, $2::text::jsonb as json, $3::timestamptz as at',
        [['a', 'b'], '{"x":1}', new Date(0)],
      );
      expect(row).toEqual({ list: ['a', 'b'], json: { x: 1 }, at: new Date(0) });
    });
  });

  it('runs in turn with other statements, in the innermost savepoint, and dooms it by a failure', async () => {
    await db.transaction(async (outer) => {
      await db.query(`insert into item (name) values ('kept')`);
      const inner = db.transaction(async () => {
        const first = db.query(`insert into item (name) values ('lost')`);
        // Asked of the outer transaction, it still belongs to the savepoint.
        const second = outer.onConnection((connection) => connection.queryText!('select 1/0', []));
        await Promise.allSettled([first, second]);
        await db.query('select 1');
      });
      await expect(inner).rejects.toThrow(TransactionClosedError);
      expect((await ask('select name from item')).rows).toEqual([['kept']]);
    });
    expect(await database.names()).toEqual(['kept']);
  });

  it('is refused once the transaction is over', async () => {
    const over = await db.transaction(async (transaction) => transaction);
    const late = over.onConnection(async () => 'called');
    await expect(late).rejects.toThrow(TransactionClosedError);
    expect(over.outermost).toBe(over);
  });
});
