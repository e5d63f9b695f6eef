import { ClosedError, InvalidArgumentError, TimeoutError } from '@nestbox/core';
import { createClient, createDedicated } from './client-factory.js';
import { disconnect, drainAndClose } from './close-client.js';
import { isClusterClient, type RedisClient, type SingleClient } from './driver.js';
import { PubSub } from './pub-sub.js';
import { RedisScript, type ScriptDefinition } from './redis-script.js';
import { RedisUnavailableError, translateError } from './redis.errors.js';
import { checkOptions, type Connection, type RedisConnectionOptions } from './redis.options.js';
import { scanNode, type ScanOptions } from './scan.js';
import {
  Subscription,
  type BinaryMessageHandler,
  type BinarySubscribeOptions,
  type MessageHandler,
  type RedisSubscription,
  type TextSubscribeOptions,
} from './subscription.js';
import { withTimeout } from './with-timeout.js';

/** How a connection of its own differs from the shared one. */
export interface DuplicateOptions {
  /**
   * The longest that its commands block, in ms, such as the BLOCK of XREAD. Its timeouts are longer by so much;
   * `Infinity` means that it has none. Default: 0.
   */
  blockMs?: number;
}

/**
 * A connection to Redis: a single server, a master behind sentinels, or a cluster.
 *
 * A connection that we open (from a URL or options) fails in about a second when Redis is gone, tries for ever to be
 * connected again, and never sends a command twice. A client of yours keeps its own settings and is never closed.
 */
export class Redis {
  readonly isCluster: boolean;
  /** Which Redis, for messages: host and port, or what it is called. */
  readonly server: string;

  readonly #connection: Connection;
  readonly #dedicated = new Set<RedisClient>();
  #client: RedisClient | undefined;
  #pubSub: PubSub | undefined;
  #closing: Promise<void> | undefined;

  /** @throws InvalidArgumentError */
  constructor(options: RedisConnectionOptions) {
    this.#connection = checkOptions(options);
    this.server = this.#connection.server;
    if (this.#connection.kind === 'shared') {
      this.#client = this.#connection.client;
      this.isCluster = isClusterClient(this.#client);
    } else {
      this.isCluster = this.#connection.kind === 'cluster';
    }
  }

  /** How the server is found. */
  get mode(): 'standalone' | 'sentinel' | 'cluster' {
    if (this.isCluster) return 'cluster';
    const { kind } = this.#connection;
    const options = kind === 'shared' ? this.#connection.client.options : this.#connection.options;
    return 'sentinels' in options && options.sentinels ? 'sentinel' : 'standalone';
  }

  /**
   * The ioredis client, created at the first use, and connected at its first command.
   *
   * @throws ClosedError; MissingDriverError when ioredis is not installed
   */
  get client(): RedisClient {
    this.#assertOpen();
    this.#client ??= createClient(this.#connection);
    return this.#client;
  }

  /**
   * Resolves when Redis has answered. Commands connect by themselves, so this is only for knowing early.
   *
   * @throws RedisUnavailableError when Redis does not answer in time; it is tried further in the background
   */
  async connect(): Promise<void> {
    const timeoutMs = this.#connection.settings.unavailableAfterMs + 500;
    try {
      await this.ping(timeoutMs);
    } catch (error) {
      if (!(error instanceof TimeoutError)) throw error;
      throw new RedisUnavailableError(this.server, `did not answer within ${timeoutMs} ms`, false, {
        cause: error,
      });
    }
  }

  /**
   * How long a round trip takes, in ms. On a cluster, to any one node.
   *
   * @throws TimeoutError; RedisUnavailableError
   */
  async ping(timeoutMs = 1000): Promise<number> {
    const start = performance.now();
    const { client, server } = this;
    try {
      await withTimeout(`Redis (${server})`, timeoutMs, client.ping());
    } catch (error) {
      throw translateError(error, server);
    }
    return performance.now() - start;
  }

  /** A Lua script, which is sent to Redis when it is first run. */
  script(definition: ScriptDefinition): RedisScript {
    return new RedisScript(() => this.client, definition);
  }

  /**
   * The masters of a cluster, or the one client. Connects first, where needed.
   *
   * @throws RedisUnavailableError
   */
  async masters(): Promise<SingleClient[]> {
    const { client } = this;
    if (!isClusterClient(client)) return [client];
    if (client.status !== 'ready') await this.connect();
    return client.nodes('master');
  }

  /**
   * All keys that match a pattern, in no order, on all masters. Keys that are there all the time are given at least
   * once, rarely twice.
   *
   * @throws RedisUnavailableError
   */
  async *scan(options: ScanOptions = {}): AsyncGenerator<string, void, undefined> {
    try {
      for (const master of await this.masters()) yield* scanNode(master, options);
    } catch (error) {
      throw translateError(error, this.server);
    }
  }

  /**
   * A connection of its own, for commands that block. It is closed with this object; who needs it no more may call
   * its `disconnect()` before.
   *
   * @param purpose what to call it in the list of clients, such as `kv-watch`; letters, digits and `-`
   */
  duplicate(purpose: string, { blockMs = 0 }: DuplicateOptions = {}): RedisClient {
    this.#assertOpen();
    if (!/^[\w-]+$/.test(purpose))
      throw new InvalidArgumentError('purpose', 'must be letters, digits, _ and -.');
    const client = createDedicated(this.#connection, { purpose, blockMs });
    this.#dedicated.add(client);
    client.once('end', () => this.#dedicated.delete(client));
    return client;
  }

  /**
   * Receives the messages of a channel, on one connection that all subscriptions share, or with `sharded` on one to
   * each node of a cluster that has a channel of ours. Resolves when Redis has confirmed. Messages that were sent while
   * the connection was lost are lost: `onSubscribed` is called whenever it has been made (again), as the moment to look
   * what was missed.
   *
   * Errors that the handlers throw are logged.
   *
   * @param options a function is `{ onSubscribed }`
   * @throws RedisUnavailableError when it is not confirmed in time
   */
  async subscribe(
    channel: string,
    onMessage: MessageHandler,
    options?: TextSubscribeOptions | (() => void | Promise<void>),
  ): Promise<RedisSubscription>;
  async subscribe(
    channel: string,
    onMessage: BinaryMessageHandler,
    options: BinarySubscribeOptions,
  ): Promise<RedisSubscription>;
  async subscribe(
    channel: string,
    ...how: TextSubscription | BinarySubscription
  ): Promise<RedisSubscription> {
    this.#assertOpen();
    const given = how[1] ?? {};
    const options = typeof given === 'function' ? { onSubscribed: given } : given;
    const subscription = new Subscription(channel, asBinary(how), options);
    this.#pubSub ??= new PubSub(this, this.#connection.settings.unavailableAfterMs);
    return this.#pubSub.subscribe(subscription, options.sharded === true);
  }

  /** Closes what this object opened, after replies that are due; a client that was passed in stays open. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#pubSub?.close();
    await Promise.all([...this.#dedicated].map(disconnect));
    if (this.#connection.kind !== 'shared' && this.#client !== undefined) await drainAndClose(this.#client);
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new ClosedError(`Redis (${this.server})`);
  }
}

type TextSubscription = [MessageHandler, (TextSubscribeOptions | (() => void | Promise<void>))?];
type BinarySubscription = [BinaryMessageHandler, BinarySubscribeOptions];

/** Whoever wants text gets it decoded. */
function asBinary(how: TextSubscription | BinarySubscription): BinaryMessageHandler {
  if (isBinary(how)) return how[0];
  const [onMessage] = how;
  return (message, channel) => onMessage(message.toString(), channel);
}

function isBinary(how: TextSubscription | BinarySubscription): how is BinarySubscription {
  return typeof how[1] === 'object' && how[1].binary === true;
}
