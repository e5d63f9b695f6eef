import { assertIdentifier } from '@nestbox/core';
import { OrderedLogError } from './ordered-log.errors.js';
import type { AmbientQueryable } from './queryable.js';
import { quoteIdentifier } from './sql-text.js';

/** Where a log draws its positions from. */
export interface OrderedLogOptions {
  /** The sequence that positions are drawn from. */
  sequence: { schema: string; name: string };
}

/** What {@link OrderedLog.read} asks for: `after < position <= upTo`, in the order of positions. */
export interface LogRange {
  after: bigint;
  upTo: bigint;
}

/**
 * A table whose rows carry positions from a sequence, and whose readers skip nothing although transactions commit in
 * another order than they drew their positions.
 *
 * The sequence starts below the first position and is not cached:
 *
 * ```sql
 * create sequence my_log_position as bigint minvalue 0 start 0;
 * select nextval('my_log_position');
 * ```
 *
 * A writer calls in this order, as statements of their own or inside one plpgsql function:
 * `nestbox.enter_log(log)`, then the statement that locks the row which orders its items (the key, the stream), then
 * `nextval(log)`. Writers never wait for each other here, and transactions that do not write to the log delay nobody.
 *
 * Needs the schema `nestbox` (`Migrations` installs it), and the primary server: a standby does not know who writes.
 */
export class OrderedLog {
  /** The sequence's quoted name; bind it as `$1::text::regclass`. */
  readonly regclass: string;
  private checked = false;

  /** @throws InvalidArgumentError for a schema or name that is no identifier */
  constructor(
    private readonly postgres: AmbientQueryable,
    { sequence }: OrderedLogOptions,
  ) {
    assertIdentifier(sequence.schema, 'sequence.schema');
    assertIdentifier(sequence.name, 'sequence.name');
    this.regclass = `${quoteIdentifier(sequence.schema)}.${quoteIdentifier(sequence.name)}`;
  }

  /**
   * The highest position up to which the log is complete: every statement that begins after this resolves sees what
   * was committed at or below it, and nothing will be added there. 0 for a log that was never written to.
   *
   * @throws OrderedLogError inside an ambient transaction that is not `read committed`, since its statements do not
   *   see what was committed after it began; and for a sequence that is cached, cycles or counts down
   */
  async watermark(): Promise<bigint> {
    if (!this.checked) await this.checkSequence();
    const ambient = this.postgres.currentTransaction !== undefined;
    const [row] = await this.postgres.query(
      `select nestbox.log_watermark($1::text::regclass)::text as watermark${
        ambient ? `, current_setting('transaction_isolation') as isolation` : ''
      }`,
      [this.regclass],
    );
    if (ambient && !READS_LATEST.has(String(row!['isolation']))) {
      throw new OrderedLogError(
        this.regclass,
        `the transaction is ${String(row!['isolation'])}, which hides what was committed after it began. ` +
          'Read in a read committed transaction, or outside of it.',
      );
    }
    return BigInt(String(row!['watermark']));
  }

  /**
   * Reads what is new in the right order: first the watermark, then the rows, in a later snapshot.
   *
   * @param after the position of the last row that the reader has got; 0 for none
   * @param fetch selects the rows of the range in the order of their positions, as many as it likes
   * @returns the rows, without having called `fetch` when nothing can be new; and the watermark
   * @throws what {@link watermark} and `fetch` throw
   */
  async read<T>(
    after: bigint,
    fetch: (range: LogRange) => Promise<readonly T[]>,
  ): Promise<{ rows: readonly T[]; upTo: bigint }> {
    const upTo = await this.watermark();
    return { rows: upTo > after ? await fetch({ after, upTo }) : [], upTo };
  }

  /** A session that draws several values at once would draw below the watermark. */
  private async checkSequence(): Promise<void> {
    const [row] = await this.postgres.query(
      `select seqcache = 1 as uncached, seqincrement > 0 and not seqcycle as grows
         from pg_catalog.pg_sequence where seqrelid = $1::text::regclass`,
      [this.regclass],
    );
    if (row?.['uncached'] !== true || row['grows'] !== true) {
      throw new OrderedLogError(
        this.regclass,
        'the sequence must have cache 1, count up, and not cycle. Alter it.',
      );
    }
    this.checked = true;
  }
}

const READS_LATEST = new Set(['read committed', 'read uncommitted']);
