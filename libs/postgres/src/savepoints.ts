interface Mark {
  kind: 'savepoint' | 'release savepoint';
  name: string;
}

/**
 * The savepoints of one transaction. SAVEPOINT and RELEASE are not sent at once: they go with the statement behind them,
 * which saves their round trips, and a savepoint without statements needs none.
 */
export class Savepoints {
  private count = 0;
  /** What the server is not told yet. */
  private waiting: Mark[] = [];

  /** @returns its name */
  open(): string {
    const name = `nestbox_${++this.count}`;
    this.waiting.push({ kind: 'savepoint', name });
    return name;
  }

  release(name: string): void {
    // Those within it are released with it. Where the server does not know it, nothing was done in it.
    if (!this.forget(name)) this.waiting = [{ kind: 'release savepoint', name }];
  }

  /** @returns what to send at once, so that its locks are given back; undefined when the server does not know it */
  rollback(name: string): string | undefined {
    if (this.forget(name)) return undefined;
    this.waiting = [];
    return `rollback to savepoint ${name}; release savepoint ${name}`;
  }

  /** @returns what to send ahead of the next statement, if anything; it is taken for sent */
  take(): string | undefined {
    if (this.waiting.length === 0) return undefined;
    return this.waiting
      .splice(0)
      .map(({ kind, name }) => `${kind} ${name}`)
      .join('; ');
  }

  /** Drops what was opened and not sent, with all that came after it. @returns whether it was not sent */
  private forget(name: string): boolean {
    const index = this.waiting.findIndex((mark) => mark.kind === 'savepoint' && mark.name === name);
    if (index >= 0) this.waiting.length = index;
    return index >= 0;
  }
}
