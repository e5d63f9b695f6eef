import { createHash, randomUUID } from 'node:crypto';
import { MAX_NAME_BYTES } from '@nestbox/core';
import { LeaseExpiredError, quoteIdentifier, type Postgres } from '@nestbox/postgres';
import {
  ALL_PARTITIONS,
  type Checkpoint,
  type CheckpointKey,
  type Fence,
  type ParkedMessage,
  type ProcessorBackend,
  type ProcessorKey,
  type ProcessorLease,
  type ProcessorStatus,
  type SaveResult,
} from '../consumers/processor.backend.js';
import type { StoredMessage } from '../event-store.backend.js';
import { MESSAGE_COLUMNS, messageOf } from './message-rows.js';
import { asProcessorLease, checkpointOf, codeOf } from './processor-rows.js';

type Row = Record<string, unknown>;

/** The SQLSTATE of `nestbox.assert_lease`. */
const LEASE_OVER = 'NB001';

/** Longer than any instance waits for another; the signal ends the waiting. */
const FOR_EVER_MS = 365 * 24 * 60 * 60 * 1000;

const MINE = 'c.subscription_id = $1 and c.partition = $2';

/** Checkpoints in `emt_subscriptions`, parked messages in `emt_parked`. */
export class PgProcessors implements ProcessorBackend {
  private readonly checkpoints: string;
  private readonly parkings: string;
  private readonly messages: string;
  private readonly columns: string;

  constructor(
    private readonly postgres: Postgres,
    private readonly schema: string,
  ) {
    const quoted = quoteIdentifier(schema);
    this.checkpoints = `${quoted}.emt_subscriptions`;
    this.parkings = `${quoted}.emt_parked`;
    this.messages = `${quoted}.emt_messages`;
    this.columns = `c.subscription_id as id, c.partition as part, c.shard, c.shards,
      c.last_processed_position as pos, c.status, c.error, c.updated_at as time,
      exists (
        select from ${this.parkings} p
         where p.subscription_id = c.subscription_id and p.partition = c.partition and p.requests > 0
      ) as wanted`;
  }

  async register(key: ProcessorKey, shards: number, position: bigint): Promise<readonly Checkpoint[]> {
    await this.postgres.query(
      `insert into ${this.checkpoints} (subscription_id, partition, shard, shards, last_processed_position)
       select $1, $2, i, $3::integer, $4::text::bigint
         from generate_series(0, $3::integer - 1) as i
        where not exists (select from ${this.checkpoints} c where ${MINE})
       on conflict (subscription_id, shard, partition) do nothing`,
      [key.processorId, key.partition, shards, String(position)],
    );
    return this.read(key);
  }

  async read({ processorId, partition }: ProcessorKey): Promise<readonly Checkpoint[]> {
    const rows = await this.postgres.query(
      `select ${this.columns} from ${this.checkpoints} c where ${MINE} order by c.shard`,
      [processorId, partition],
    );
    return rows.map(checkpointOf);
  }

  async list(): Promise<readonly Checkpoint[]> {
    const rows = await this.postgres.query(
      `select ${this.columns} from ${this.checkpoints} c order by c.subscription_id, c.partition, c.shard`,
    );
    return rows.map(checkpointOf);
  }

  async save(key: CheckpointKey, from: bigint, to: bigint, fence: Fence): Promise<SaveResult> {
    const rows = await this.asHolder(
      fence,
      // A process that is held up inside the transaction would keep others from taking the lease over.
      `with guard as materialized (
         select nestbox.assert_lease($6, $7::text::bigint),
                set_config('idle_in_transaction_session_timeout', $8, true)
       )
       update ${this.checkpoints} c
          set last_processed_position = $5::text::bigint, updated_at = clock_timestamp()
         from guard
        where ${MINE} and c.shard = $3::integer and c.last_processed_position = $4::text::bigint
       returning c.status`,
      [
        key.processorId,
        key.partition,
        key.shard,
        String(from),
        String(to),
        fence.name,
        String(fence.epoch),
        String(fence.ttlMs),
      ],
    );
    const row = rows[0];
    return row === undefined ? { saved: false } : { saved: true, status: row['status'] as ProcessorStatus };
  }

  private async asHolder({ name, epoch }: Fence, text: string, params: readonly unknown[]): Promise<Row[]> {
    try {
      return await this.postgres.query(text, params);
    } catch (error) {
      if (codeOf(error) === LEASE_OVER) throw new LeaseExpiredError(name, epoch, { cause: error });
      throw error;
    }
  }

  async setStatus(key: ProcessorKey, status: ProcessorStatus, error?: string): Promise<boolean> {
    const rows = await this.postgres.query(
      `update ${this.checkpoints} c set status = $3, error = $4, updated_at = clock_timestamp()
        where ${MINE} returning c.shard`,
      [key.processorId, key.partition, status, error?.replaceAll('\0', '\uFFFD') ?? null],
    );
    return rows.length > 0;
  }

  async reset(key: ProcessorKey, position: bigint): Promise<boolean> {
    const rows = await this.postgres.query(
      `update ${this.checkpoints} c set last_processed_position = $3::text::bigint, updated_at = clock_timestamp()
        where ${MINE} returning c.shard`,
      [key.processorId, key.partition, String(position)],
    );
    return rows.length > 0;
  }

  async reshard(key: ProcessorKey, shards: number, position: bigint): Promise<void> {
    await this.postgres.transaction(async () => {
      const [old] = await this.lock(key);
      await this.postgres.query(`delete from ${this.checkpoints} c where ${MINE}`, [
        key.processorId,
        key.partition,
      ]);
      await this.register(key, shards, position);
      if (old !== undefined && old.status !== 'active') await this.setStatus(key, old.status, old.error);
    });
  }

  async lock({ processorId, partition }: ProcessorKey): Promise<readonly Checkpoint[]> {
    const rows = await this.postgres.query(
      `select ${this.columns} from ${this.checkpoints} c where ${MINE} order by c.shard for update`,
      [processorId, partition],
    );
    return rows.map(checkpointOf);
  }

  async remove({ processorId, partition }: ProcessorKey): Promise<boolean> {
    return this.postgres.transaction(async () => {
      await this.unparkAll({ processorId, partition });
      const rows = await this.postgres.query(
        `delete from ${this.checkpoints} c where ${MINE} returning c.shard`,
        [processorId, partition],
      );
      return rows.length > 0;
    });
  }

  async lease(name: string, ttlMs: number, signal: AbortSignal): Promise<ProcessorLease> {
    return asProcessorLease(
      await this.postgres.leases.acquire(this.leaseName(name), {
        ttl: ttlMs,
        wait: FOR_EVER_MS,
        signal,
        autoRenew: true,
      }),
      ttlMs,
    );
  }

  async join(key: ProcessorKey, ttlMs: number): Promise<ProcessorLease> {
    const name = this.instanceName(key) + randomUUID();
    return asProcessorLease(await this.postgres.leases.acquire(name, { ttl: ttlMs, autoRenew: true }), ttlMs);
  }

  async countInstances(key: ProcessorKey): Promise<number> {
    const [row] = await this.postgres.query(
      `select count(*)::integer as count from nestbox.leases l
        where starts_with(l.name, $1) and l.owner is not null and l.expires_at > clock_timestamp()`,
      [this.instanceName(key)],
    );
    return Number(row!['count']);
  }

  /** What all names of its instances begin with. */
  private instanceName({ processorId, partition }: ProcessorKey): string {
    const hash = createHash('sha256').update(`${partition}\0${processorId}`).digest('hex');
    return `events:${this.schema}:instance:${hash}:`;
  }

  async tryLease(name: string, ttlMs: number): Promise<ProcessorLease | undefined> {
    try {
      return asProcessorLease(
        await this.postgres.leases.acquire(this.leaseName(name), { ttl: ttlMs, autoRenew: true }),
        ttlMs,
      );
    } catch (error) {
      if (codeOf(error) === 'LEASE_UNAVAILABLE') return undefined;
      throw error;
    }
  }

  async assertHeld(fence: Fence): Promise<void> {
    await this.asHolder(fence, 'select nestbox.assert_lease($1, $2::text::bigint)', [
      fence.name,
      String(fence.epoch),
    ]);
  }

  /** In the database, other stores have leases too; and names of processors may be long. */
  private leaseName(name: string): string {
    const full = `events:${this.schema}:${name}`;
    if (Buffer.byteLength(full) <= MAX_NAME_BYTES) return full;
    return `events:${this.schema}:${createHash('sha256').update(name).digest('hex')}`;
  }

  async park(
    key: ProcessorKey,
    message: StoredMessage,
    attempts: number,
    error: string,
    answered?: number,
  ): Promise<void> {
    await this.postgres.query(
      `insert into ${this.parkings} as p
         (subscription_id, partition, global_position, message_partition, attempts, error)
       select $1, $2, m.global_position, m.partition, $5::integer, $6
         from ${this.messages} m
        where m.global_position = $3::text::bigint and m.partition = $4
          for key share
       on conflict (subscription_id, partition, global_position) do update
         set attempts = excluded.attempts, error = excluded.error, parked_at = clock_timestamp(),
             requests = coalesce(greatest(p.requests - $7::integer, 0), 0)`,
      [
        key.processorId,
        key.partition,
        String(message.globalPosition),
        message.partition,
        attempts,
        error.replaceAll('\0', '\uFFFD').toWellFormed(),
        answered ?? null,
      ],
    );
  }

  parked(
    key: ProcessorKey,
    { after, limit }: { after: bigint; limit: number },
  ): Promise<readonly ParkedMessage[]> {
    return this.select(key, `p.global_position > $4::text::bigint`, limit, [String(after)]);
  }

  async unpark(key: ProcessorKey, position: bigint): Promise<boolean> {
    const rows = await this.postgres.query(
      `delete from ${this.parkings} p
        where p.subscription_id = $1 and p.partition = $2 and p.global_position = $3::text::bigint returning 1 as one`,
      [key.processorId, key.partition, String(position)],
    );
    return rows.length > 0;
  }

  async unparkAll(key: ProcessorKey): Promise<number> {
    const rows = await this.postgres.query(
      `delete from ${this.parkings} p where p.subscription_id = $1 and p.partition = $2 returning 1 as one`,
      [key.processorId, key.partition],
    );
    return rows.length;
  }

  async requestReplay(key: ProcessorKey, positions: readonly bigint[] | undefined): Promise<number> {
    const rows = await this.postgres.query(
      `update ${this.parkings} p set requests = p.requests + 1
        where p.subscription_id = $1 and p.partition = $2
          and ($3::bigint[] is null or p.global_position = any ($3::bigint[])) returning 1 as one`,
      [key.processorId, key.partition, positions === undefined ? null : `{${positions.join(',')}}`],
    );
    return rows.length;
  }

  replays(key: ProcessorKey, limit: number): Promise<readonly ParkedMessage[]> {
    return this.select(key, 'p.requests > 0', limit, []);
  }

  async countParked(): Promise<readonly (ProcessorKey & { count: number })[]> {
    const rows = await this.postgres.query(
      `select p.subscription_id as id, p.partition as part, count(*)::integer as count
         from ${this.parkings} p group by p.subscription_id, p.partition order by 1, 2`,
    );
    return rows.map((row) => ({
      processorId: row['id'] as string,
      partition: row['part'] as string,
      count: row['count'] as number,
    }));
  }

  async ageAfter({ partition }: ProcessorKey, position: bigint): Promise<number | undefined> {
    const ofOne = partition === ALL_PARTITIONS ? '' : 'and m.partition = $2';
    const [row] = await this.postgres.query(
      `select (extract(epoch from clock_timestamp() - m.created_at) * 1000)::float8 as age
         from ${this.messages} m
        where m.global_position > $1::text::bigint ${ofOne} and not m.is_tombstone
        order by m.global_position limit 1`,
      partition === ALL_PARTITIONS ? [String(position)] : [String(position), partition],
    );
    return row === undefined ? undefined : Math.max(0, Number(row['age']));
  }

  private async select(
    { processorId, partition }: ProcessorKey,
    condition: string,
    limit: number,
    more: readonly unknown[],
  ): Promise<readonly ParkedMessage[]> {
    const rows = await this.postgres.query(
      `select p.attempts, p.error, p.requests, p.parked_at as since, ${MESSAGE_COLUMNS}
         from ${this.parkings} p
         join ${this.messages} m on m.global_position = p.global_position and m.partition = p.message_partition
        where p.subscription_id = $1 and p.partition = $2 and ${condition}
        order by p.global_position
        limit $3::integer`,
      [processorId, partition, limit, ...more],
    );
    return rows.map((row) => ({
      processorId,
      partition,
      message: messageOf(row),
      attempts: Number(row['attempts']),
      error: row['error'] as string,
      requests: Number(row['requests']),
      parkedAt: new Date(row['since'] as string | Date),
    }));
  }
}
