import type {
  ClusterClient,
  Redis,
  RedisClient,
  RedisClusterOptions,
  RedisConnectionOptions,
  RedisScript,
} from '@nestbox/redis';

/** An argument of a command. */
export type CommandArgument = string | number | Buffer;

/** What every kind of ioredis client has. */
interface Commands {
  call(command: string, args: CommandArgument[]): Promise<unknown>;
  disconnect(reconnect?: boolean): void;
}

/** A connection that may be held by a blocking command. */
export interface BlockingConnection {
  command(name: string, args: CommandArgument[]): Promise<unknown>;
  /** Drops the socket, which fails the command under way; the next command connects again. */
  reset(): void;
  close(): void;
}

/**
 * The adapter's connection for commands. It is always one of its own: a connection that others use too might pipeline
 * automatically, so that a flush would wait for the one before, or send a command again that was under way when the
 * connection was lost, so that an increment would count twice.
 */
export class RedisLink {
  private constructor(
    /** What was given, or made of it. */
    private readonly base: Redis,
    /** The adapter's own. */
    private readonly own: Redis,
    private readonly closeBase: boolean,
  ) {}

  /** @param given a Redis of @nestbox/redis, or what one can be made of */
  static async open(given: RedisConnectionOptions | Redis): Promise<RedisLink> {
    // Imported only now, so that an application which keeps its entries elsewhere needs no ioredis.
    const { Redis: RedisClass } = await import('@nestbox/redis');
    const options = isRedis(given) ? given : withoutPipelining(given);
    const base = isRedis(options) ? options : new RedisClass(options);
    const own = isShared(options) ? new RedisClass(duplicateOf(base)) : base;
    return new RedisLink(base, own, !isRedis(options));
  }

  get isCluster(): boolean {
    return this.own.isCluster;
  }

  async connect(): Promise<void> {
    await this.own.connect();
  }

  command(name: string, args: CommandArgument[]): Promise<unknown> {
    return commandsOf(this.own.client).call(name, args);
  }

  script(name: string, lua: string): RedisScript {
    return this.own.script({ name, lua });
  }

  /** A further connection. @param blockMs how long its commands block at the most */
  blocking(blockMs: number): BlockingConnection {
    const client = commandsOf(this.base.duplicate('kv-watch', { blockMs }));
    return {
      command: (name, args) => client.call(name, args),
      reset: () => client.disconnect(true),
      close: () => client.disconnect(),
    };
  }

  ping(): Promise<number> {
    return this.own.ping();
  }

  async close(): Promise<void> {
    if (this.own !== this.base) commandsOf(this.own.client).disconnect();
    if (this.closeBase) await this.base.close();
  }
}

/** Whether it is somebody else's connection. Told by shape, since there may be several copies of a package. */
function isShared(given: RedisConnectionOptions | Redis): boolean {
  return typeof given === 'object' && (isRedis(given) || isClient(given) || 'client' in given);
}

function isRedis(given: RedisConnectionOptions | Redis): given is Redis {
  return typeof given === 'object' && 'script' in given && 'masters' in given;
}

function isClient(given: RedisConnectionOptions): given is RedisClient {
  return typeof given === 'object' && 'sendCommand' in given;
}

function isClusterOptions(given: object): given is RedisClusterOptions {
  return 'cluster' in given;
}

/** ioredis lets one automatic pipeline be under way at a time, and flushes are pipelines enough. */
function withoutPipelining(given: RedisConnectionOptions): RedisConnectionOptions {
  if (typeof given === 'string') return { url: given, enableAutoPipelining: false };
  // What is wrong with it the constructor of Redis says.
  if (typeof given !== 'object' || given === null || isClient(given) || 'client' in given) return given;
  if (isClusterOptions(given))
    return { ...given, options: { ...given.options, enableAutoPipelining: false } };
  return { ...given, enableAutoPipelining: false };
}

/** A connection like a shared one that sends every command once. */
function duplicateOf(redis: Redis): RedisClient {
  const { client } = redis;
  const once = { autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 } as const;
  const more = { enableAutoPipelining: false, lazyConnect: true } as const;
  let duplicate: RedisClient;
  if (isCluster(client)) {
    const { redisOptions } = client.options;
    // The clients of @nestbox/redis are such already.
    if (redisOptions?.autoResendUnfulfilledCommands === false) return redis.duplicate('kv');
    const options = { ...more, retryDelayOnFailover: 0, redisOptions: { ...redisOptions, ...once } };
    duplicate = client.duplicate([], options);
  } else {
    if (client.options.autoResendUnfulfilledCommands === false) return redis.duplicate('kv');
    duplicate = client.duplicate({ ...more, ...once });
  }
  duplicate.on('error', () => {
    // Without a listener ioredis prints it. The commands that fail tell their callers.
  });
  return duplicate;
}

function isCluster(client: RedisClient): client is ClusterClient {
  return client.isCluster;
}

function commandsOf(client: RedisClient): Commands {
  return client;
}
