import type { AsyncLocalStorage } from 'node:async_hooks';
import { messageOf } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import type { Row } from './driver.js';
import { isConnectionLost } from './postgres.errors.js';
import { Savepoints } from './savepoints.js';
import type { StatementCall, TransactionConnection } from './transaction-connection.js';

/** Where the innermost open transaction of the current async context is kept. */
export type AmbientTransaction<Scope> = AsyncLocalStorage<Scope | undefined>;

interface AfterCommit<Scope> {
  scope: Scope;
  fn: () => void | Promise<void>;
}

const logger = new Logger('NestboxTransaction');

/** What a transaction and its savepoints share: the connection, and the work for after the commit. */
export class TransactionSession<Scope> {
  /** Why the connection was lost, once it was. */
  lost: { cause: unknown } | undefined;
  readonly savepoints = new Savepoints();
  private rejectInFlight: ((reason: unknown) => void) | undefined;
  private inFlight: Promise<unknown> | undefined;
  private afterCommit: AfterCommit<Scope>[] = [];
  private last: { scope: Scope; statement: StatementCall }[] = [];

  constructor(
    private readonly connection: TransactionConnection,
    readonly ambient: AmbientTransaction<Scope>,
  ) {}

  /** Runs a statement; there must be none under way. */
  send(text: string, params: readonly unknown[]): Promise<Row[]> {
    return this.untilAnswered((connection) => connection.query(text, params));
  }

  /** Does something else on the connection; there must be no statement under way. */
  use<T>(work: (connection: TransactionConnection) => Promise<T>): Promise<T> {
    return this.untilAnswered(work);
  }

  private async untilAnswered<T>(work: (connection: TransactionConnection) => Promise<T>): Promise<T> {
    const answer = new Promise<T>((resolve, reject) => {
      this.rejectInFlight = reject;
      this.sendMarks(work).then(resolve, reject);
    });
    this.inFlight = answer;
    try {
      return await answer;
    } catch (error) {
      if (isConnectionLost(error)) this.lost ??= { cause: error };
      throw error;
    } finally {
      this.inFlight = undefined;
      this.rejectInFlight = undefined;
    }
  }

  /** Runs statements in one round trip where the connection can; there must be none under way. */
  async sendAll(statements: readonly StatementCall[]): Promise<Row[][]> {
    const { connection } = this;
    if (connection.queryAll === undefined) {
      const results: Row[][] = [];
      for (const { text, params } of statements) results.push(await this.send(text, params));
      return results;
    }
    return this.untilAnswered(() => connection.queryAll!(statements));
  }

  /** Tells the server of savepoints that it does not know yet; there must be no statement under way. */
  async flush(): Promise<void> {
    const marks = this.savepoints.take();
    if (marks !== undefined) await this.send(marks, []);
  }

  private sendMarks<T>(work: (connection: TransactionConnection) => Promise<T>): Promise<T> {
    const { connection } = this;
    const marks = this.savepoints.take();
    if (marks === undefined) return work(connection);
    if (connection.queryAhead === undefined) return connection.query(marks, []).then(() => work(connection));
    connection.queryAhead(marks);
    return work(connection);
  }

  /** Sends statements together with the COMMIT. */
  atCommit(scope: Scope, statement: StatementCall): void {
    this.last.push({ scope, statement });
  }

  takeLast(): StatementCall[] {
    return this.last.splice(0).map(({ statement }) => statement);
  }

  /** Resolves when no statement is under way. */
  async settled(): Promise<void> {
    await this.inFlight?.catch(() => undefined);
  }

  /** Call it when the connection is lost: the statement under way, if any, is rejected. */
  lose(cause: unknown): void {
    this.lost ??= { cause };
    this.rejectInFlight?.(cause);
  }

  register(scope: Scope, fn: () => void | Promise<void>): void {
    this.afterCommit.push({ scope, fn });
  }

  drop(isDropped: (scope: Scope) => boolean): void {
    this.last = this.last.filter(({ scope }) => !isDropped(scope));
    this.afterCommit = this.afterCommit.filter(({ scope }) => !isDropped(scope));
  }

  /** Runs what was registered. Never rejects. */
  async runAfterCommit(): Promise<void> {
    for (const { fn } of this.afterCommit.splice(0)) {
      try {
        await this.ambient.run(undefined, fn);
      } catch (error) {
        logger.error(`Work registered with afterCommit failed: ${messageOf(error)}`, error);
      }
    }
  }
}
