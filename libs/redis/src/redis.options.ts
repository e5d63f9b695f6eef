import { InvalidArgumentError, parseDuration, type Duration } from '@nestbox/core';
import type { ClusterNode, ClusterOptions, RedisOptions } from 'ioredis';
import { isClient, isClusterClient, type RedisClient } from './driver.js';
import { parseRedisUrl } from './redis-url.js';

/** How long a command may take when Redis is in trouble. For connections that we open. */
export interface RedisSettings {
  /**
   * How long Redis may be unreachable before commands that wait for it are refused, and further ones at once, until
   * it is back. Default: 1 s.
   */
  unavailableAfter?: Duration;
  /**
   * How long Redis may be silent while commands are under way. They then fail, and a new connection is made. Default:
   * 2 s.
   */
  answerTimeout?: Duration;
  /** Commands that may wait for a connection; one more is refused at once. Default: 10,000. */
  maxWaitingCommands?: number;
}

/**
 * Options of ioredis that cannot be given. Keys are always complete: ioredis' prefix is left out in places, such as
 * SCAN and pub/sub. The others would change the shape of replies, or are what keeps a command from running twice or
 * waiting for ever.
 */
type Reserved =
  | 'keyPrefix'
  | 'maxRetriesPerRequest'
  | 'autoResendUnfulfilledCommands'
  | 'enableOfflineQueue'
  | 'lazyConnect'
  | 'replyMapping'
  | 'stringNumbers';

/** The options of ioredis for a server that can be given. */
export type ServerDriverOptions = Omit<RedisOptions, Reserved>;

/** The options of ioredis for a cluster that can be given. */
export type ClusterDriverOptions = Omit<
  ClusterOptions,
  Reserved | 'redisOptions' | 'retryDelayOnFailover'
> & {
  redisOptions?: Omit<NonNullable<ClusterOptions['redisOptions']>, Reserved>;
};

/** A single server, or sentinels (`sentinels` and `name`): the options of ioredis, beside or in place of `url`. */
export type RedisServerOptions = RedisSettings &
  ServerDriverOptions & {
    /** `redis://user:password@host:port/db`, or `rediss://` for TLS. */
    url?: string;
  };

/** Options of a connection to Redis Cluster. */
export type RedisClusterOptions = RedisSettings & {
  /** Some of the nodes: `{ host, port }`, or `redis://host:port`. */
  cluster: ClusterNode[];
  /** Options of ioredis' Cluster; credentials and TLS go into `options.redisOptions`. */
  options?: ClusterDriverOptions;
};

/** An ioredis client of yours. It is shared: never closed by us, and its own options hold. */
export interface RedisSharedOptions {
  client: RedisClient;
}

/** What `RedisModule.forRoot` takes. */
export type RedisModuleOptions = RedisServerOptions | RedisClusterOptions | RedisSharedOptions;

/** What the constructor of {@link Redis} takes: besides, a URL or a client by itself. */
export type RedisConnectionOptions = string | RedisClient | RedisModuleOptions;

export interface Settings {
  unavailableAfterMs: number;
  answerTimeoutMs: number;
  maxWaitingCommands: number;
}

/** The checked options. */
export type Connection = { server: string; settings: Settings } & (
  | { kind: 'shared'; client: RedisClient }
  | { kind: 'single'; options: ServerDriverOptions }
  | { kind: 'cluster'; nodes: ClusterNode[]; options: ClusterDriverOptions }
);

const RESERVED: Record<Reserved, string> = {
  keyPrefix: 'is not supported: it does not apply to SCAN and pub/sub. Give complete keys instead.',
  maxRetriesPerRequest: 'is set by us; use `unavailableAfter` to say how long commands may wait.',
  autoResendUnfulfilledCommands: 'is always false, since a command sent again would run twice.',
  enableOfflineQueue: 'is set by us; use `unavailableAfter` and `maxWaitingCommands`.',
  lazyConnect: 'is always true; call connect() to connect early.',
  replyMapping: 'is not supported: replies are read in the shape that ioredis gives by default.',
  stringNumbers: 'is not supported: replies are read in the shape that ioredis gives by default.',
};

/**
 * @throws InvalidArgumentError when the options say nothing, contradict each other, or hold a reserved one
 */
export function checkOptions(given: RedisConnectionOptions): Connection {
  if (isClient(given)) return shared(given);
  if (typeof given === 'string') return single({ url: given });
  if (typeof given !== 'object' || given === null) {
    throw new InvalidArgumentError('options', 'give a URL, options, or an ioredis client.');
  }
  if ('client' in given) {
    if (!isClient(given.client)) {
      throw new InvalidArgumentError('options.client', 'is not a client of the ioredis package.');
    }
    return shared(given.client);
  }
  return 'cluster' in given ? cluster(given) : single(given);
}

function shared(client: RedisClient): Connection {
  // A cluster client copies the prefix of its nodes into its own options.
  if (client.options.keyPrefix) {
    throw new InvalidArgumentError('options.client', `has keyPrefix set, which ${RESERVED.keyPrefix}`);
  }
  const server = isClusterClient(client) ? 'cluster' : serverName(client.options);
  return { kind: 'shared', client, server, settings: settingsOf({}) };
}

function single(given: RedisServerOptions): Connection {
  const { url, unavailableAfter, answerTimeout, maxWaitingCommands, ...beside } = given;
  refuseReserved(beside, 'options');
  const options = url === undefined ? beside : { ...beside, ...parseRedisUrl(url) };
  const { host, port, path, sentinels } = options;
  if ([host, port, path, sentinels].every((part) => part === undefined)) {
    throw new InvalidArgumentError(
      'options',
      'do not say where Redis is; give one of `url`, `host`, `path`, `sentinels`, `cluster` and `client`. Is the environment variable set?',
    );
  }
  if (sentinels && !options.name) {
    throw new InvalidArgumentError('options.name', 'is needed with `sentinels`: what they call the master.');
  }
  return {
    kind: 'single',
    options,
    server: serverName(options),
    settings: settingsOf({ unavailableAfter, answerTimeout, maxWaitingCommands }),
  };
}

function cluster(given: RedisClusterOptions): Connection {
  const { cluster: nodes, options = {} } = given;
  if (!Array.isArray(nodes) || nodes.length === 0) {
    throw new InvalidArgumentError('options.cluster', 'must be a list of at least one node.');
  }
  refuseReserved(options, 'options.options');
  refuseReserved(options.redisOptions ?? {}, 'options.options.redisOptions');
  return { kind: 'cluster', nodes, options, server: 'cluster', settings: settingsOf(given) };
}

function refuseReserved(options: object, path: string): void {
  for (const [name, problem] of Object.entries(RESERVED)) {
    if (Reflect.get(options, name) !== undefined) throw new InvalidArgumentError(`${path}.${name}`, problem);
  }
}

function settingsOf({
  unavailableAfter = 1000,
  answerTimeout = 2000,
  maxWaitingCommands = 10_000,
}: RedisSettings): Settings {
  if (!Number.isSafeInteger(maxWaitingCommands) || maxWaitingCommands < 0) {
    throw new InvalidArgumentError('options.maxWaitingCommands', 'must be a whole number of at least 0.');
  }
  return {
    unavailableAfterMs: parseDuration(unavailableAfter, 'options.unavailableAfter'),
    answerTimeoutMs: parseDuration(answerTimeout, 'options.answerTimeout'),
    maxWaitingCommands,
  };
}

/** What to call the server in errors and logs. */
function serverName({ sentinels, name, path, host = 'localhost', port = 6379 }: ServerDriverOptions): string {
  if (sentinels) return `${name}, by sentinels`;
  return path ?? `${host}:${port}`;
}
