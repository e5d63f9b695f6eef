import { backoffMs } from '@nestbox/core';
import type { ClusterOptions, RedisOptions } from 'ioredis';
import type { Dedication } from './client-factory.js';
import type { ClusterDriverOptions, ServerDriverOptions } from './redis.options.js';
import type { WaitingRoom } from './waiting-room.js';

/** How long a TCP connection may take. */
const CONNECT_TIMEOUT_MS = 1000;
/** How long a subscription may take to be confirmed. */
const SUBSCRIBE_TIMEOUT_MS = 2000;
/**
 * How long a socket may take to close. ioredis keeps a process alive for so long even when there is none any more. It
 * may be short, since replies that are due are waited for before.
 */
const DISCONNECT_TIMEOUT_MS = 100;
/** A second READONLY within this time means that the other server is no master either. */
const READONLY_PAUSE_MS = 1000;

/** What ioredis' constructors take, with replies in the usual shape. */
export type SingleOptions = Omit<RedisOptions, 'replyMapping'>;
export type ClusterClientOptions = Omit<ClusterOptions, 'replyMapping' | 'redisOptions'> & {
  redisOptions: Omit<NonNullable<ClusterOptions['redisOptions']>, 'replyMapping'>;
};

const retry = (attempt: number): number => backoffMs(attempt, { baseMs: 50, maxMs: 1000 });

/** Whatever the user's options are, these make sure that no command runs twice or waits for ever. */
const ALWAYS = {
  lazyConnect: true,
  // What was sent is never sent again, and is rejected when the connection closes.
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  enableOfflineQueue: true,
} as const satisfies RedisOptions;

/** The options of ioredis for a single server or sentinels. */
export function singleOptions(given: ServerDriverOptions, room: WaitingRoom): SingleOptions {
  return {
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    enableAutoPipelining: true,
    retryStrategy: retry,
    sentinelCommandTimeout: CONNECT_TIMEOUT_MS,
    sentinelRetryStrategy: retry,
    reconnectOnError: reconnectOnReadonly(room),
    ...given,
    ...ALWAYS,
  };
}

/**
 * The options of ioredis for a cluster. Commands are not pipelined automatically there: when slots move, ioredis would
 * pass MOVED on to the callers.
 */
export function clusterOptions(given: ClusterDriverOptions): ClusterClientOptions {
  return {
    clusterRetryStrategy: retry,
    slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
    // Redirections and a cluster that is down are retried every 100 ms, so about a second in all.
    maxRedirections: 10,
    ...given,
    redisOptions: {
      connectTimeout: CONNECT_TIMEOUT_MS,
      disconnectTimeout: DISCONNECT_TIMEOUT_MS,
      ...given.redisOptions,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
    },
    // Else a command whose connection was lost would be sent again.
    retryDelayOnFailover: 0,
    lazyConnect: true,
  };
}

/** What differs for a connection that serves a purpose of its own, and whose commands may block. */
export function dedicatedOptions(base: RedisOptions, { purpose, blockMs }: Dedication) {
  const longer = (configured: number | undefined): number | undefined =>
    configured === undefined || blockMs === Infinity ? undefined : configured + blockMs;
  return {
    connectionName: connectionName(base, purpose),
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    commandTimeout: longer(base.commandTimeout),
    socketTimeout: longer(base.socketTimeout),
    // A blocking command would hold up the whole next batch.
    enableAutoPipelining: false,
  } satisfies RedisOptions;
}

/** What differs for a further connection like a client that was given to us: no command is sent twice. */
export function sharedDuplicateOptions() {
  return {
    lazyConnect: true,
    enableAutoPipelining: false,
    autoResendUnfulfilledCommands: false,
    // What waits for a connection fails when there is none, in place of after 20 attempts.
    maxRetriesPerRequest: 0,
  } as const satisfies RedisOptions;
}

/** The same for the nodes of a cluster. */
export function sharedDuplicateNodeOptions() {
  return { autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 } as const satisfies RedisOptions;
}

/** What differs for a connection that subscribes. {@link Subscriber} makes a new one when it is lost. */
export function subscriberOptions(base: RedisOptions) {
  return {
    ...ALWAYS,
    connectionName: connectionName(base, 'subscriber'),
    connectTimeout: base.connectTimeout ?? CONNECT_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    commandTimeout: base.commandTimeout ?? SUBSCRIBE_TIMEOUT_MS,
    socketTimeout: undefined,
    enableAutoPipelining: false,
    autoResubscribe: false,
    reconnectOnError: null,
    retryStrategy: () => null,
  } satisfies RedisOptions;
}

function connectionName(base: RedisOptions, purpose: string): string {
  return base.connectionName ? `${base.connectionName}:${purpose}` : purpose;
}

/**
 * After a failover the old master answers READONLY: connect again, which finds the new one, and send the refused
 * commands there. They were not run, so sending them again is safe. If the other server refuses too, the caller is
 * told.
 */
function reconnectOnReadonly(room: WaitingRoom): (error: Error) => false | 1 | 2 {
  let lastAt = -Infinity;
  return (error) => {
    if (!error.message.startsWith('READONLY')) return false;
    const now = performance.now();
    if (!room.isHeld && now - lastAt < READONLY_PAUSE_MS) return 1;
    lastAt = now;
    room.hold();
    return 2;
  };
}
