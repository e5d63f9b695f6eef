import { quoteIdentifier, type Postgres } from '@nestbox/postgres';
import type { QueueRow } from '../workflow.backend.js';

/** The limits of queues. */
export class QueuesTable {
  private readonly saving: string;

  constructor(
    private readonly postgres: Postgres,
    schema: string,
  ) {
    const table = `${quoteIdentifier(schema)}.workflow_queues`;
    // Processes that start together lock the rows in one order, and only those that change: claims wait for them.
    this.saving = `insert into ${table} as q (name, concurrency, partition_concurrency, rate_limit, rate_ms)
      select g.value ->> 0, (g.value ->> 1)::integer, (g.value ->> 2)::integer, (g.value ->> 3)::integer,
             (g.value ->> 4)::float8
        from jsonb_array_elements($1::text::jsonb) as g (value)
       order by 1
      on conflict (name) do update
         set concurrency = excluded.concurrency, partition_concurrency = excluded.partition_concurrency,
             rate_limit = excluded.rate_limit, rate_ms = excluded.rate_ms
       where (q.concurrency, q.partition_concurrency, q.rate_limit, q.rate_ms)
             is distinct from
             (excluded.concurrency, excluded.partition_concurrency, excluded.rate_limit, excluded.rate_ms)`;
  }

  async save(queues: readonly QueueRow[]): Promise<void> {
    if (queues.length === 0) return;
    const rows = queues.map(({ name, concurrency, partitionConcurrency, rate }) => [
      name,
      concurrency ?? null,
      partitionConcurrency ?? null,
      rate?.limit ?? null,
      rate?.perMs ?? null,
    ]);
    await this.postgres.query(this.saving, [JSON.stringify(rows)]);
  }
}
