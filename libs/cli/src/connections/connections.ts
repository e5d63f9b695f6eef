import type { Postgres } from '@nestbox/postgres';
import type { Redis } from '@nestbox/redis';
import type { Servers } from '../config/servers.js';
import { UsageError } from '../usage-error.js';
import { reachRedis, redisAt } from './redis-connection.js';
import { closeSoon, postgresAt, reach } from './postgres-connection.js';

/** Connections to the servers that were named, made when a command asks for them. */
export class Connections {
  private database: Promise<Postgres> | undefined;
  private server: Promise<Redis> | undefined;
  private readonly closers: (() => Promise<void>)[] = [];

  constructor(private readonly servers: Servers) {}

  /** @throws UsageError when none is named; CommandFailedError when it cannot be reached */
  postgres(): Promise<Postgres> {
    this.database ??= this.openPostgres();
    return this.database;
  }

  /** @throws UsageError when none is named; CommandFailedError when it cannot be reached */
  redis(): Promise<Redis> {
    this.server ??= this.openRedis();
    return this.server;
  }

  /** Calls `close` before the connections are closed. */
  onClose(close: () => Promise<void>): void {
    this.closers.push(close);
  }

  /** Never rejects. */
  async close(): Promise<void> {
    for (const close of this.closers.reverse()) await closeSoon(close());
  }

  private async openPostgres(): Promise<Postgres> {
    const { url } = this.servers;
    if (url === undefined) throw new UsageError('no database is given; pass --url or set DATABASE_URL');
    const postgres = postgresAt(url);
    this.onClose(() => postgres.close());
    await reach(postgres, url);
    return postgres;
  }

  private async openRedis(): Promise<Redis> {
    const { redisUrl } = this.servers;
    if (redisUrl === undefined) throw new UsageError('no Redis is given; pass --redis-url or set REDIS_URL');
    const redis = redisAt(redisUrl);
    this.onClose(() => redis.close());
    await reachRedis(redis);
    return redis;
  }
}
