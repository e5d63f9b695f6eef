import { InvalidArgumentError } from '@nestbox/core';
import { createHash } from 'node:crypto';
import type { RedisClient } from './driver.js';

type ScriptKey = string | Buffer;
type ScriptArgument = string | number | Buffer;

/** A script in Lua, and what is known of it before it runs. */
export interface ScriptDefinition {
  /** What to call it in errors. */
  name: string;
  lua: string;
  /** When given, `run` checks that it gets that many keys. */
  numberOfKeys?: number;
}

/**
 * A Lua script that Redis keeps under its hash. Only the hash is sent; the text follows when a server does not know
 * it yet, as after a restart or a failover. Get one by `Redis.script`.
 */
export class RedisScript {
  readonly name: string;
  private readonly sha: string;

  /** @internal */
  constructor(
    private readonly client: () => RedisClient,
    private readonly definition: ScriptDefinition,
  ) {
    this.name = definition.name;
    this.sha = createHash('sha1').update(definition.lua).digest('hex');
  }

  /**
   * Runs it once, or fails.
   *
   * @param keys complete keys; on a cluster all in one slot
   * @returns what the script returns, as ioredis gives it
   * @throws InvalidArgumentError for a wrong number of keys; RedisUnavailableError
   */
  async run(keys: readonly ScriptKey[], args: readonly ScriptArgument[] = []): Promise<unknown> {
    const client = this.client();
    const input = this.input(keys, args);
    try {
      return await client.evalsha(this.sha, keys.length, input);
    } catch (error) {
      if (!isUnknownScript(error)) throw error;
      return client.eval(this.definition.lua, keys.length, input);
    }
  }

  /** Like {@link run}, with text in the reply as Buffers. */
  async runBuffer(keys: readonly ScriptKey[], args: readonly ScriptArgument[] = []): Promise<unknown> {
    const client = this.client();
    const input = [String(keys.length), ...this.input(keys, args)];
    try {
      return await client.callBuffer('EVALSHA', [this.sha, ...input]);
    } catch (error) {
      if (!isUnknownScript(error)) throw error;
      return client.callBuffer('EVAL', [this.definition.lua, ...input]);
    }
  }

  private input(keys: readonly ScriptKey[], args: readonly ScriptArgument[]): ScriptKey[] {
    const { numberOfKeys = keys.length } = this.definition;
    if (keys.length !== numberOfKeys) {
      throw new InvalidArgumentError(
        'keys',
        `script ${this.name} takes ${numberOfKeys}, not ${keys.length}.`,
      );
    }
    return [...keys, ...args.map((arg) => (typeof arg === 'number' ? String(arg) : arg))];
  }
}

/** A server that does not know the script has not run it. */
function isUnknownScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}
