import { PgChannelStore } from '@nestbox/channels';
import { createEventStore, singleStreamProjection } from '@nestbox/event-store';
import { Postgres } from '@nestbox/postgres';
import { eventually, startPostgres, type TestPostgres } from '@nestbox/testing';
import { Workflow, createWorkflows, type WorkflowContext } from '@nestbox/workflows';

const ROWS = 5_000;
/** Of callers beside each other, whose calls share statements. */
const CALLERS = 50;

/**
 * PostgreSQL knows nothing of a table until it has analyzed it, and plans of prepared statements are kept meanwhile.
 * What is looked up by key must not be planned as a scan, whose time grows with the table: here nothing is analyzed. The
 * limits leave room for scans of tables that have only a few pages, which are right.
 */
describe('tables that were never analyzed', () => {
  let server: TestPostgres;
  let url: string;

  beforeAll(async () => {
    server = await startPostgres({ settings: { autovacuum: 'off' } });
    ({ url } = await server.createDatabase());
  });

  afterAll(() => server[Symbol.asyncDispose]());

  /** How many rows of a table were read so far, be it from the table or an index, once `inserted` are there. */
  async function rowsRead(table: string, inserted: number): Promise<number> {
    // A new connection each time: one that has looked keeps what it saw.
    return eventually(async () => {
      const postgres = new Postgres({ url, options: { max: 1 } });
      try {
        const [row] = await postgres.query(
          `select t.n_tup_ins::integer as inserted,
                  (t.seq_tup_read + (select sum(i.idx_tup_read) from pg_stat_user_indexes i where i.relid = t.relid))::float8
                    as read
             from pg_stat_user_tables t where t.relid = $1::regclass`,
          [table],
        );
        expect(row!['inserted']).toBeGreaterThanOrEqual(inserted);
        return row!['read'] as number;
      } finally {
        await postgres.close();
      }
    });
  }

  async function each(fn: (i: number) => Promise<unknown>, callers = CALLERS): Promise<void> {
    // The first by themselves, so that their plans are those of a small table.
    for (let i = 0; i < CALLERS; i++) await fn(i);
    for (let first = CALLERS; first < ROWS; first += callers) {
      await Promise.all(Array.from({ length: callers }, (_, i) => fn(first + i)));
    }
  }

  it('have documents of inline projections found by their ids', async () => {
    const added = { type: 'Added', data: {} };
    const store = createEventStore(url, {
      projections: [
        {
          type: 'inline',
          projection: singleStreamProjection({
            collectionName: 'baskets',
            canHandle: ['Added'],
            evolve: ({ n }: { n: number }) => ({ n: n + 1 }),
            initialState: () => ({ n: 0 }),
          }),
        },
      ],
    });
    await store.init();
    await each((i) => store.appendToStream(`basket-${i}`, [added]), 1);
    expect(await store.collection('baskets').count()).toBe(ROWS);
    await store.close();
    expect(await rowsRead('event_store.emt_c_baskets_default', ROWS)).toBeLessThan(ROWS * 60);
  }, 60_000);

  it('have channels found by their ids when sessions are set', async () => {
    const store = new PgChannelStore(url);
    await store.init();
    await each((i) => store.addChannel({ channelId: `channel-${i}`, channelName: 'shop' }));
    await each((i) => store.setUserSession(`channel-${i}`, { userId: `user-${i}` }));
    await store.close();
    expect(await rowsRead('serverless.lambda_channels', ROWS)).toBeLessThan(2 * ROWS * 60);
  }, 60_000);

  it('have runs found by their ids when they are parked', async () => {
    @Workflow({ name: 'unanalyzed.waiting' })
    class Waiting {
      async run(ctx: WorkflowContext): Promise<void> {
        await ctx.waitForSignal('go');
      }
    }
    const workflows = createWorkflows(url, { workflows: [new Waiting()], concurrency: 50 });
    try {
      await workflows.init();
      await workflows.startWorker();
      await each((i) => workflows.start(Waiting, undefined, { id: `waiting-${i}` }));
      await eventually(
        async () => expect((await workflows.counts())['unanalyzed.waiting']).toEqual({ suspended: ROWS }),
        { timeoutMs: 60_000 },
      );
    } finally {
      await workflows.close();
    }
    expect(await rowsRead('workflows.workflow_active', ROWS)).toBeLessThan(ROWS * 300);
  }, 90_000);
});
