import { Redis, redisOf, type RedisClient, type RedisScript, type RedisSource } from '@nestbox/redis';

/** A reply that is an error, told by its shape. */
function isFailure(reply: unknown): boolean {
  return typeof reply === 'object' && reply !== null && 'message' in reply;
}

/** Whether Redis itself replied an error, such as `WRONGTYPE …`, so that nothing of a read is in doubt. */
export function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError';
}

/** What a script gave for one of several operations. */
export function settled<T>(reply: unknown): T {
  if (isFailure(reply)) throw reply;
  return reply as T;
}

/**
 * Plain commands and scripts on the connection of a store.
 *
 * ioredis lets one automatic pipeline be under way at a time, which would make a batch wait for the answer to the one
 * before. So where a connection that is shared pipelines automatically, the store has another one like it.
 */
export class RedisCommands {
  readonly isCluster: boolean;

  private readonly base: Redis;
  private readonly owned: boolean;
  private readonly scripts = new Map<string, RedisScript>();
  private duplicate: RedisClient | undefined;
  private own: Redis | undefined;

  /** @throws InvalidArgumentError */
  constructor(source: RedisSource) {
    const { redis, owned } = redisOf(withoutPipelining(source));
    this.base = redis;
    this.owned = owned;
    this.isCluster = redis.isCluster;
  }

  async connect(): Promise<void> {
    await this.redis.connect();
  }

  ping(): Promise<number> {
    return this.redis.ping();
  }

  async close(): Promise<void> {
    this.duplicate?.disconnect();
    if (this.owned) await this.base.close();
  }

  /** Runs a command of which the first argument is its key. */
  async command<T>(name: string, ...args: (string | number | Buffer)[]): Promise<T> {
    const client: { call(command: string, args: (string | number | Buffer)[]): Promise<unknown> } =
      this.redis.client;
    return (await client.call(name, args)) as T;
  }

  async run<T>(
    lua: string,
    keys: readonly string[],
    ...args: readonly (string | number | Buffer)[]
  ): Promise<T> {
    return (await this.script(lua).run(keys, args)) as T;
  }

  private get redis(): Redis {
    this.own ??= this.open();
    return this.own;
  }

  private open(): Redis {
    const { options } = this.base.client;
    if (this.isCluster || !('enableAutoPipelining' in options) || !options.enableAutoPipelining)
      return this.base;
    this.duplicate = this.base.duplicate('channels');
    this.duplicate.on('error', () => {
      // Without a listener ioredis prints it. The commands that fail tell their callers.
    });
    return new Redis(this.duplicate);
  }

  private script(lua: string): RedisScript {
    let script = this.scripts.get(lua);
    if (script === undefined) {
      script = this.redis.script({ name: 'channels', lua });
      this.scripts.set(lua, script);
    }
    return script;
  }
}

function withoutPipelining(source: RedisSource): RedisSource {
  if (typeof source === 'string') return { url: source, enableAutoPipelining: false };
  // What is wrong with it the constructor of Redis says.
  if (typeof source !== 'object' || source === null || isConnection(source) || 'cluster' in source)
    return source;
  return 'client' in source ? source : { ...source, enableAutoPipelining: false };
}

function isConnection(source: object): source is Redis | RedisClient {
  return 'masters' in source || 'sendCommand' in source;
}
