import { PooledConnection, type ParsedOptions } from './pooled-connection.js';
import type { Place } from './socket.js';

/**
 * Opens a connection to the first of the configured servers that takes it, in the order in which they are given.
 *
 * @throws the only server's error, or an AggregateError of all of them
 */
export async function connect(
  options: ParsedOptions,
  prepare: boolean,
  signal: AbortSignal,
): Promise<PooledConnection> {
  const errors: unknown[] = [];
  for (const target of targetsOf(options)) {
    for (const place of placesOf(options)) {
      const connection = new PooledConnection({ ...options, target_session_attrs: target }, place, prepare);
      const giveUp = (): void => connection.destroy();
      signal.addEventListener('abort', giveUp);
      try {
        await connection.open();
        return connection;
      } catch (error) {
        connection.destroy();
        if (signal.aborted) throw error;
        errors.push(isRefusedTarget(error, target) ? wrongTarget(place, target) : error);
      } finally {
        signal.removeEventListener('abort', giveUp);
      }
    }
  }
  throw errors.length === 1 ? errors[0] : allFailed(errors);
}

function placesOf({ host, port, path }: ParsedOptions): Place[] {
  return host.map((name, i) => ({
    host: name,
    port: port[i] ?? port[0] ?? 5432,
    path: path === false ? undefined : path,
  }));
}

/** `prefer-standby` is a standby in a first round, and any server in a second. */
function targetsOf({ target_session_attrs: target }: ParsedOptions): (string | undefined)[] {
  return target === 'prefer-standby' ? ['standby', undefined] : [target ?? undefined];
}

/** postgres.js ends a connection to a server that is not the wanted one, and says no more. */
function isRefusedTarget(error: unknown, target: string | undefined): target is string {
  return target !== undefined && (error as { code?: unknown } | null)?.code === 'CONNECTION_DESTROYED';
}

function wrongTarget({ host, port }: Place, target: string): Error {
  const error = new Error(`${host}:${port} is not ${target}, as target_session_attrs asks for`);
  return Object.assign(error, { code: 'CONNECTION_DESTROYED' });
}

function allFailed(errors: unknown[]): AggregateError {
  const error = new AggregateError(errors);
  return Object.assign(error, { code: (errors.at(-1) as { code?: unknown } | null)?.code });
}
