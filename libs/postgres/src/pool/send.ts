import type { Sql } from '../driver.js';
import type { StatementCall } from '../transaction-connection.js';
import { execute, type StatementResult } from './statement.js';
import { executeText, type TextResult } from './text-statement.js';

/** Sends a statement on a connection, which knows whether it may still be prepared. */
export type Send<T> = (sql: Sql, mayPrepare: (text: string) => boolean) => Promise<T>;

export function sending({ text, params }: StatementCall): Send<StatementResult[]> {
  return (sql, mayPrepare) => execute(sql, text, params, isPrepared(text, params, mayPrepare));
}

/** With parameters and values as texts. */
export function sendingText(text: string, params: readonly (string | null)[]): Send<TextResult> {
  return (sql, mayPrepare) => executeText(sql, text, params, isPrepared(text, params, mayPrepare));
}

/** What has no parameters goes by the simple protocol, which prepares nothing. */
function isPrepared(text: string, { length }: readonly unknown[], mayPrepare: Parameters<Send<unknown>>[1]) {
  return length > 0 && mayPrepare(text);
}
