import { InvalidArgumentError, assertIdentifier } from '@nestbox/core';
import { quoteIdentifier } from '@nestbox/postgres';

/** The longest of the suffixes that the names of tables, sequences and functions beside the table have. */
const LONGEST_SUFFIX = '_next_version';
const MAX_TABLE_BYTES = 63 - LONGEST_SUFFIX.length;

/** The names of a store's table and of all that stands beside it, quoted and qualified. */
export class KvTable {
  /** As the migrations and messages know it: `public.kv_store`. */
  readonly target: string;
  /** `"public"."kv_store"` */
  readonly name: string;
  readonly regclass: string;
  readonly tombstones: string;
  readonly history: string;
  readonly changes: string;
  readonly log: string;
  readonly floor: string;
  readonly deletions: string;
  readonly revision: string;
  readonly watched: string;

  /** @throws InvalidArgumentError for a name that is no identifier, or leaves no room for the suffixes */
  constructor(
    readonly schema: string,
    readonly table: string,
  ) {
    assertIdentifier(schema, 'schema');
    assertIdentifier(table, 'tableName', MAX_TABLE_BYTES);
    for (const [path, name] of Object.entries({ schema, tableName: table })) {
      // The names also stand inside function bodies, which end with these.
      if (/\$(function|do)\$/.test(name)) {
        throw new InvalidArgumentError(path, 'must not contain $function$ or $do$.');
      }
    }
    this.target = `${schema}.${table}`;
    this.name = this.with('');
    this.regclass = this.regclassOf('');
    this.tombstones = this.with('_tombstones');
    this.history = this.with('_history');
    this.changes = this.with('_changes');
    this.log = this.with('_log');
    this.floor = this.regclassOf('_floor');
    this.deletions = this.regclassOf('_deletions');
    this.revision = this.regclassOf('_revision');
    this.watched = this.regclassOf('_watched');
  }

  /** The qualified name of what stands beside the table under this suffix, such as `_put`. */
  with(suffix: string): string {
    return this.sibling(this.table + suffix);
  }

  /** The qualified name of another table in the same schema. */
  sibling(table: string): string {
    return `${quoteIdentifier(this.schema)}.${quoteIdentifier(table)}`;
  }

  /** A constant of type regclass, which PostgreSQL looks up once per plan. */
  private regclassOf(suffix: string): string {
    return `${literal(this.with(suffix))}::regclass`;
  }
}

/** A text as an SQL string, whatever `standard_conforming_strings` says. */
function literal(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}
