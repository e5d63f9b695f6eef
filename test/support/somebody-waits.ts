import type { Postgres } from '@nestbox/postgres';
import { eventually } from '@nestbox/testing';

/** Resolves when somebody waits for a lock in this database. */
export async function somebodyWaits(postgres: Postgres): Promise<void> {
  await eventually(async () => {
    // The client itself, since the caller holds the lock in a transaction of its own.
    const [row] = await postgres.client<{ waiting: boolean }[]>`
      select exists (
        select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
      ) as waiting`;
    return row!.waiting;
  });
}
