import type { Queryable } from './queryable.js';
import { textArray } from './sql-text.js';

/** Which lease, as which holder. */
export interface LeaseKey {
  name: string;
  epoch: bigint;
}

/** Why a lease was not granted. */
export interface LeaseRefusal {
  owner: string | undefined;
  /** For how long it is held unless it is renewed, in ms. 0: it is changing hands, ask again. */
  remainingMs: number;
}

/** The statements on `nestbox.leases`. What they promise is written in the functions, in `sql/`. */
export class LeaseTable {
  constructor(private readonly postgres: Queryable) {}

  async acquire(name: string, owner: string, ttlMs: number): Promise<{ epoch: bigint } | LeaseRefusal> {
    const [row] = await this.postgres.query<{
      epoch: string | null;
      owner: string | null;
      remaining: unknown;
    }>(
      `select granted_epoch::text as epoch, held_by as owner, remaining_ms::float8 as remaining
         from nestbox.acquire_lease($1, $2, $3::text::float8)`,
      [name, owner, String(ttlMs)],
    );
    if (typeof row?.epoch === 'string') return { epoch: BigInt(row.epoch) };
    return { owner: row?.owner ?? undefined, remainingMs: Number(row?.remaining ?? 0) };
  }

  /** Resolves to the epochs of those that were still held. */
  async renew(leases: readonly (LeaseKey & { ttlMs: number })[]): Promise<Set<bigint>> {
    const rows = await this.postgres.query<{ epoch: string }>(
      `select renewed_epoch::text as epoch
         from nestbox.renew_leases($1::text[], $2::text[]::bigint[], $3::text[]::float8[])`,
      [...namesAndEpochs(leases), textArray(leases.map((lease) => String(lease.ttlMs)))],
    );
    return new Set(rows.map((row) => BigInt(row.epoch)));
  }

  /** Resolves to the epochs of those that were still held. */
  async release(leases: readonly LeaseKey[]): Promise<Set<bigint>> {
    const rows = await this.postgres.query<{ epoch: string }>(
      `select released_epoch::text as epoch from nestbox.release_leases($1::text[], $2::text[]::bigint[])`,
      namesAndEpochs(leases),
    );
    return new Set(rows.map((row) => BigInt(row.epoch)));
  }

  /** Rejects with SQLSTATE {@link LEASE_OVER} unless it is held. */
  async assertHeld(lease: LeaseKey): Promise<void> {
    await this.postgres.query('select nestbox.assert_lease($1, $2::text::bigint)', [
      lease.name,
      String(lease.epoch),
    ]);
  }

  /** Resolves to how many rows were deleted. */
  async sweep(olderThan: string, atMost: number): Promise<number> {
    const [row] = await this.postgres.query(
      'select nestbox.sweep_leases($1::text::interval, $2::text::int4) as swept',
      [olderThan, String(atMost)],
    );
    return Number(row?.['swept']);
  }
}

/** The SQLSTATE of `nestbox.assert_lease`. */
export const LEASE_OVER = 'NB001';

/** Epochs come from one sequence, so each names one lease of one holder. */
function namesAndEpochs(leases: readonly LeaseKey[]): [string, string] {
  return [
    textArray(leases.map((lease) => lease.name)),
    textArray(leases.map((lease) => String(lease.epoch))),
  ];
}
