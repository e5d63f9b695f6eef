/** What a row is found by. */
export type RowKey = string | number;

/** The name of rows of one kind, and their types. Rows are never changed, only replaced. */
export class RowTable<Row, Key extends RowKey = string> {
  declare readonly row: Row;
  declare readonly key: Key;

  constructor(readonly name: string) {}
}

/**
 * Tables in memory on top of others: what is written stays in the upper layer until it is merged into the lower one. Forgetting
 * a layer undoes what was done in it.
 */
export class RowLayer {
  /** In all but the lowest layer, undefined stands for a row that was deleted. */
  private readonly tables = new Map<string, Map<RowKey, unknown>>();

  constructor(private readonly parent?: RowLayer) {}

  get<Row, Key extends RowKey>(table: RowTable<Row, Key>, key: Key): Row | undefined {
    const rows = this.tables.get(table.name);
    if (this.parent === undefined || rows?.has(key) === true) return rows?.get(key) as Row | undefined;
    return this.parent.get(table, key);
  }

  set<Row, Key extends RowKey>(table: RowTable<Row, Key>, key: Key, row: Row): void {
    this.rowsOf(table.name).set(key, row);
  }

  delete<Row, Key extends RowKey>(table: RowTable<Row, Key>, key: Key): void {
    const rows = this.rowsOf(table.name);
    if (this.parent === undefined) rows.delete(key);
    else rows.set(key, undefined);
  }

  /** In no order that means anything. Collect them before you change the table. */
  *entries<Row, Key extends RowKey>(table: RowTable<Row, Key>): Generator<[Key, Row]> {
    const rows = (this.tables.get(table.name) ?? new Map<Key, unknown>()) as Map<Key, Row | undefined>;
    for (const [key, row] of rows) {
      if (row !== undefined) yield [key, row];
    }
    if (this.parent === undefined) return;
    for (const entry of this.parent.entries(table)) {
      if (!rows.has(entry[0])) yield entry;
    }
  }

  *rows<Row, Key extends RowKey>(table: RowTable<Row, Key>): Generator<Row> {
    for (const [, row] of this.entries(table)) yield row;
  }

  /** Deletes the rows that satisfy a condition, or all of them. @returns how many there were */
  deleteWhere<Row, Key extends RowKey>(
    table: RowTable<Row, Key>,
    condition: (row: Row) => boolean = () => true,
  ): number {
    const found = [...this.entries(table)].filter(([, row]) => condition(row));
    for (const [key] of found) this.delete(table, key);
    return found.length;
  }

  /** Whether it was written in this layer, not in one below. */
  holds<Row, Key extends RowKey>(table: RowTable<Row, Key>, key: Key): boolean {
    return this.tables.get(table.name)?.has(key) ?? false;
  }

  /** Whether this layer and another have written the same row. */
  meets(other: RowLayer): boolean {
    for (const [name, rows] of other.tables) {
      const own = this.tables.get(name);
      if (own === undefined) continue;
      for (const key of rows.keys()) {
        if (own.has(key)) return true;
      }
    }
    return false;
  }

  /** Writes everything to the layer below. */
  merge(): void {
    const { parent } = this;
    if (parent === undefined) return;
    for (const [name, rows] of this.tables) {
      const table = new RowTable<unknown, RowKey>(name);
      for (const [key, row] of rows) {
        if (row === undefined) parent.delete(table, key);
        else parent.set(table, key, row);
      }
    }
  }

  private rowsOf(name: string): Map<RowKey, unknown> {
    let rows = this.tables.get(name);
    if (rows === undefined) this.tables.set(name, (rows = new Map<RowKey, unknown>()));
    return rows;
  }
}
