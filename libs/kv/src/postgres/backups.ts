import { InvalidArgumentError } from '@nestbox/core';
import { textArray, type Postgres, type Row } from '@nestbox/postgres';
import { setTimeout as sleep } from 'node:timers/promises';
import { backupName, backupPrefix, backupTime } from './backup-name.js';
import type { KvTable } from './kv-table.js';
import { restoreStatements } from './restore-statements.js';
import { LIVE, millis, toDate } from './rows.js';

interface Backup {
  name: string;
  /** By its name or by its rows, whichever is earlier. */
  takenAt: Date;
  columns: ReadonlySet<string>;
}

const MAX_NAME_BYTES = 63;
/** What PostgreSQL says when there is a table with the name, or somebody else is just creating it. */
const NAME_TAKEN = new Set<unknown>(['42P07', '42710', '23505']);

/** Copies of the table beside it, in tables of their own. */
export class Backups {
  constructor(
    private readonly postgres: Postgres,
    private readonly table: KvTable,
    /** Called after changes were logged, in the async context of the caller. */
    private readonly onLogged: () => void,
  ) {}

  /** Takes a backup, and resolves to its name. */
  async take(): Promise<string> {
    for (const withMs of [false, true]) {
      const name = await this.takeAs(withMs);
      if (name !== undefined) return name;
    }
    // Somebody else took one in the same millisecond.
    await sleep(1 + Math.random() * 5);
    return this.take();
  }

  /** The names of all backups, newest first. */
  async list(): Promise<string[]> {
    return (await this.find()).map(({ name }) => name);
  }

  /**
   * Makes the entries those of a backup, in one transaction; resolves to how many these are. All of them get new
   * versions.
   *
   * @throws InvalidArgumentError when there is no such backup
   */
  async restore(name: string): Promise<number> {
    const backups = await this.find();
    const backup = backups.find((candidate) => candidate.name === name);
    if (backup === undefined) {
      const known = backups.map((candidate) => `"${candidate.name}"`).join(', ');
      throw new InvalidArgumentError(
        'name',
        `${JSON.stringify(name)} is no backup of ${this.table.target}. ` +
          (known === '' ? 'It has none.' : `It has: ${known}.`),
      );
    }
    const statements = restoreStatements(this.table, this.table.sibling(name), backup.columns);
    return this.postgres.transaction(async (transaction) => {
      await transaction.query(statements.lock);
      const [state] = await transaction.query(statements.enterLog);
      const logged = state!['logged'] === true;
      await transaction.query(statements.removeOthers, [logged]);
      const [row] = await transaction.query(statements.putBack, [logged]);
      if (logged) this.onLogged();
      return Number(row!['count']);
    });
  }

  /** Drops the backups that are older; resolves to their names. */
  async cleanUp(days: number): Promise<string[]> {
    if (typeof days !== 'number' || !(days >= 0)) {
      throw new InvalidArgumentError('days', `${String(days)} must be a number of at least 0.`);
    }
    const [clock] = await this.postgres.query(`select ${millis('clock_timestamp()', 'now')}`);
    const before = Number(clock!['now']) - days * 24 * 60 * 60 * 1000;
    const old = (await this.find()).filter(({ takenAt }) => takenAt.getTime() < before);
    for (const { name } of old) await this.postgres.query(`drop table if exists ${this.table.sibling(name)}`);
    return old.map(({ name }) => name);
  }

  /** Undefined when there is a table with this name. */
  private async takeAs(withMs: boolean): Promise<string | undefined> {
    const [clock] = await this.postgres.query(`select ${millis('clock_timestamp()', 'now')}`);
    const at = toDate(clock!['now']);
    const name = backupName(this.table.table, at, withMs);
    const bytes = Buffer.byteLength(name);
    if (bytes > MAX_NAME_BYTES) {
      throw new InvalidArgumentError(
        'tableName',
        `is too long for backups: "${name}" has ${bytes} bytes, and PostgreSQL allows ${MAX_NAME_BYTES}.`,
      );
    }
    try {
      await this.copyTo(name, at);
      return name;
    } catch (error) {
      if (NAME_TAKEN.has((error as { code?: unknown } | null)?.code)) return undefined;
      throw error;
    }
  }

  private copyTo(name: string, at: Date): Promise<void> {
    const backup = this.table.sibling(name);
    return this.postgres.transaction(async (transaction) => {
      await transaction.query(
        `create table ${backup} (
           key text collate "C" primary key,
           value jsonb not null,
           version bigint not null,
           created_at timestamptz not null,
           updated_at timestamptz not null,
           expires_at timestamptz,
           backup_created_at timestamptz not null,
           backup_source_table text not null
         )`,
      );
      // One statement, hence one snapshot.
      await transaction.query(
        `insert into ${backup}
         select t.key, t.value, t.version, t.created_at, t.updated_at, t.expires_at,
                to_timestamp($1::float8 / 1000), $2::text
           from ${this.table.name} t
          where ${LIVE}`,
        [at.getTime(), this.table.table],
      );
    });
  }

  /** All backups of exactly this table, newest first. */
  private async find(): Promise<Backup[]> {
    const { schema, table } = this.table;
    const candidates = await this.postgres.query(
      `select c.relname::text as name,
              array_to_string(array(
                select a.attname::text from pg_attribute a
                 where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attname = any ($3::text[])
              ), ',') as columns
         from pg_class c
         join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = $1 and c.relkind = 'r' and starts_with(c.relname::text, $2)`,
      [schema, backupPrefix(table), textArray([...NEEDED_COLUMNS, ...OPTIONAL_COLUMNS])],
    );
    const backups: Backup[] = [];
    for (const candidate of candidates) {
      const backup = await this.recognize(candidate);
      if (backup !== undefined) backups.push(backup);
    }
    return backups.sort((a, b) => b.takenAt.getTime() - a.takenAt.getTime() || (a.name < b.name ? 1 : -1));
  }

  private async recognize(candidate: Row): Promise<Backup | undefined> {
    const name = String(candidate['name']);
    const columns = new Set(String(candidate['columns']).split(','));
    const named = backupTime(this.table.table, name);
    if (named === undefined || !NEEDED_COLUMNS.every((column) => columns.has(column))) return undefined;
    const [row] = await this.postgres.query(
      `select ${millis('min(b.backup_created_at)', 'taken_at')},
              coalesce(bool_and(b.backup_source_table = $1), true) as ours
         from ${this.table.sibling(name)} b`,
      [this.table.table],
    );
    if (row!['ours'] !== true) return undefined;
    const taken = row!['taken_at'] === null ? named : toDate(row!['taken_at']);
    return { name, takenAt: taken < named ? taken : named, columns };
  }
}

const NEEDED_COLUMNS = ['key', 'value', 'backup_created_at', 'backup_source_table'] as const;
const OPTIONAL_COLUMNS = ['version', 'created_at', 'updated_at', 'expires_at'] as const;
