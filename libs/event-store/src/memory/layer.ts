/** The name of rows of one kind, and their type. Rows are never changed, only replaced. */
export class Table<Row> {
  declare readonly row: Row;

  constructor(readonly name: string) {}
}

export type RowKey = string | number;

/**
 * Tables on top of others: what is written stays in the upper layer until it is merged into the lower one. Forgetting
 * a layer undoes what was done in it.
 */
export class Layer {
  /** In all but the lowest layer, undefined stands for a row that was deleted. */
  private readonly tables = new Map<string, Map<RowKey, unknown>>();

  constructor(private readonly parent?: Layer) {}

  get<Row>(table: Table<Row>, key: RowKey): Row | undefined {
    const rows = this.tables.get(table.name);
    if (this.parent === undefined || rows?.has(key) === true) return rows?.get(key) as Row | undefined;
    return this.parent.get(table, key);
  }

  set<Row>(table: Table<Row>, key: RowKey, row: Row): void {
    this.rowsOf(table.name).set(key, row);
  }

  delete<Row>(table: Table<Row>, key: RowKey): void {
    const rows = this.rowsOf(table.name);
    if (this.parent === undefined) rows.delete(key);
    else rows.set(key, undefined);
  }

  /** In no order that means anything. Collect them before you change the table. */
  *entries<Row>(table: Table<Row>): Generator<[RowKey, Row]> {
    const rows = (this.tables.get(table.name) ?? new Map<RowKey, unknown>()) as Map<RowKey, Row | undefined>;
    for (const [key, row] of rows) {
      if (row !== undefined) yield [key, row];
    }
    if (this.parent === undefined) return;
    for (const entry of this.parent.entries(table)) {
      if (!rows.has(entry[0])) yield entry;
    }
  }

  *rows<Row>(table: Table<Row>): Generator<Row> {
    for (const [, row] of this.entries(table)) yield row;
  }

  /** Deletes the rows that satisfy a condition, or all of them. @returns how many there were */
  deleteWhere<Row>(table: Table<Row>, condition: (row: Row) => boolean = () => true): number {
    const found = [...this.entries(table)].filter(([, row]) => condition(row));
    for (const [key] of found) this.delete(table, key);
    return found.length;
  }

  /** Writes everything to the layer below. */
  merge(): void {
    const { parent } = this;
    if (parent === undefined) return;
    for (const [name, rows] of this.tables) {
      const table = new Table<unknown>(name);
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
