/** The name of rows of one kind, and their type. Rows are never changed, only replaced. */
export class Table<Row> {
  declare readonly row: Row;

  constructor(readonly name: string) {}
}

/**
 * Tables on top of others: what is written stays in the upper layer until it is merged into the lower one. Forgetting
 * a layer undoes what was done in it.
 */
export class Layer {
  /** In all but the lowest layer, undefined stands for a row that was deleted. */
  private readonly tables = new Map<string, Map<string, unknown>>();

  constructor(private readonly parent?: Layer) {}

  get<Row>(table: Table<Row>, key: string): Row | undefined {
    const rows = this.tables.get(table.name);
    if (this.parent === undefined || rows?.has(key) === true) return rows?.get(key) as Row | undefined;
    return this.parent.get(table, key);
  }

  set<Row>(table: Table<Row>, key: string, row: Row): void {
    this.rowsOf(table.name).set(key, row);
  }

  delete<Row>(table: Table<Row>, key: string): void {
    const rows = this.rowsOf(table.name);
    if (this.parent === undefined) rows.delete(key);
    else rows.set(key, undefined);
  }

  /** In no order that means anything. Collect them before you change the table. */
  *entries<Row>(table: Table<Row>): Generator<[string, Row]> {
    const rows = (this.tables.get(table.name) ?? new Map<string, unknown>()) as Map<string, Row | undefined>;
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

  /** Whether it was written in this layer, not in one below. */
  holds<Row>(table: Table<Row>, key: string): boolean {
    return this.tables.get(table.name)?.has(key) ?? false;
  }

  /** Whether this layer and another have written the same row. */
  meets(other: Layer): boolean {
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
      const table = new Table<unknown>(name);
      for (const [key, row] of rows) {
        if (row === undefined) parent.delete(table, key);
        else parent.set(table, key, row);
      }
    }
  }

  private rowsOf(name: string): Map<string, unknown> {
    let rows = this.tables.get(name);
    if (rows === undefined) this.tables.set(name, (rows = new Map<string, unknown>()));
    return rows;
  }
}
