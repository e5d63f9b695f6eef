import type { Redis, RedisScript } from '@nestbox/redis';

/** A reply that is an error, told by its shape. */
function isFailure(reply: unknown): boolean {
  return typeof reply === 'object' && reply !== null && 'message' in reply;
}

/** What a script gave for one of several operations. */
export function settled<T>(reply: unknown): T {
  if (isFailure(reply)) throw reply;
  return reply as T;
}

/** Plain commands and scripts on a connection. */
export class RedisCommands {
  private readonly scripts = new Map<string, RedisScript>();

  constructor(readonly redis: Redis) {}

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

  private script(lua: string): RedisScript {
    let script = this.scripts.get(lua);
    if (script === undefined) {
      script = this.redis.script({ name: 'channels', lua });
      this.scripts.set(lua, script);
    }
    return script;
  }
}
