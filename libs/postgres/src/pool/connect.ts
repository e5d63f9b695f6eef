import { messageOf } from '@nestbox/core';
import { PooledConnection, type ParsedOptions } from './pooled-connection.js';
import type { Place } from './socket.js';

/** Opens connections to the first of the configured servers that takes them and is of the wanted kind. */
export class Connector {
  /** Where the only server that takes writes was found last. */
  private latest: Place | undefined;
  private readonly places: readonly Place[];

  constructor(
    private readonly options: ParsedOptions,
    private readonly prepare: boolean,
  ) {
    this.places = placesOf(options);
  }

  /**
   * Tries the servers in the order in which they are given; of those that take writes there is one only, so it is
   * looked for where it was last.
   *
   * @throws the only server's error, or an AggregateError of all of them
   */
  async connect(signal: AbortSignal): Promise<PooledConnection> {
    const errors: unknown[] = [];
    for (const target of targetsOf(this.options)) {
      const isUnique = target === 'read-write' || target === 'primary';
      const { latest } = this;
      const places = isUnique && latest !== undefined ? new Set([latest, ...this.places]) : this.places;
      for (const place of places) {
        try {
          const connection = await this.open(place, target, signal);
          this.latest = place;
          return connection;
        } catch (error) {
          if (signal.aborted) throw error;
          errors.push(isRefusedTarget(error, target) ? wrongTarget(place, target) : error);
        }
      }
    }
    throw errors.length === 1 ? errors[0] : allFailed(errors);
  }

  private async open(
    place: Place,
    target: string | undefined,
    signal: AbortSignal,
  ): Promise<PooledConnection> {
    // For postgres.js a standby is `read-write`, unless it is told to refuse writes even as a primary.
    const theirs = target === 'read-write' ? undefined : target;
    const { options, prepare } = this;
    const connection = new PooledConnection({ ...options, target_session_attrs: theirs }, place, prepare);
    const giveUp = (): void => connection.destroy();
    signal.addEventListener('abort', giveUp);
    try {
      await connection.open();
      if (target === 'read-write' && !(await takesWrites(connection, options))) {
        throw wrongTarget(place, target);
      }
      return connection;
    } catch (error) {
      connection.destroy();
      throw error;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }
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

async function takesWrites(
  connection: PooledConnection,
  { connect_timeout: timeoutS }: ParsedOptions,
): Promise<boolean> {
  const timer = setTimeout(() => connection.destroy(), timeoutS * 1000).unref();
  try {
    const [rows] = await connection.run('show transaction_read_only', []);
    connection.isFresh = true;
    return rows?.[0]?.['transaction_read_only'] === 'off';
  } finally {
    clearTimeout(timer);
  }
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
  const error = new AggregateError(errors, errors.map(messageOf).join('; '));
  return Object.assign(error, { code: (errors.at(-1) as { code?: unknown } | null)?.code });
}
