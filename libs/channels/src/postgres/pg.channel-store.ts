import {
  ClosedError,
  InvalidArgumentError,
  Lifecycle,
  OverloadedError,
  assertName,
  compareUtf8,
  parseDuration,
  type Duration,
  type JsonObject,
} from '@nestbox/core';
import { postgresOf, type Postgres, type PostgresSource } from '@nestbox/postgres';
import { ChannelNotFoundError, ChannelOperationError } from '../channel.errors.js';
import {
  ChannelStore,
  type ChannelAndSession,
  type ChannelNode,
  type ChannelPage,
  type ListChannelsOptions,
  type NewChannel,
  type ReapedNode,
  type RemoveChannelsOptions,
} from '../channel.store.js';
import {
  assertLease,
  checkChannel,
  checkList,
  cursorOf,
  distinctIds,
  encodeObject,
  ownerOf,
  userOf,
} from '../support/arguments.js';
import { ChannelReads } from './channel-reads.js';
import { channelMigrations } from './channel-schema.js';
import { ChannelTable, type StoredChannel } from './channel-table.js';
import { ChannelWrites, type ChannelWrite, type Written } from './channel-writes.js';

/** Options of channels on PostgreSQL. */
export interface PgChannelStoreOptions {
  /** Whether to create and upgrade the tables; else they are checked. Default: true. */
  migrate?: boolean;
  /** The property of a session that says whose it is: a string or a number. Default: `'userId'`. */
  userKey?: string;
}

/** Channels in one statement. */
const BATCH = 1000;
/** How often channels are looked for whose instance was never registered. */
const ORPHANS_MS = 60_000;

/** Channels in a table of PostgreSQL. Inside an ambient transaction every call is a part of it. */
export class PgChannelStore<
  Opening extends JsonObject = JsonObject,
  Session extends JsonObject = JsonObject,
> extends ChannelStore<Opening, Session> {
  readonly backend = 'postgres';
  private readonly postgres: Postgres;
  private readonly userKey: string;
  private readonly table: ChannelTable;
  private readonly writes: ChannelWrites;
  private readonly texts: ChannelReads<StoredChannel>;
  private readonly owners: ChannelReads<string | null>;
  private readonly lifecycle: Lifecycle;
  private orphansAt = performance.now();

  /**
   * @param sql a postgres.js client or a `Postgres`, which stay open; or a URL or options
   * @throws InvalidArgumentError
   */
  constructor(
    sql: PostgresSource,
    schemaName = 'serverless',
    { migrate = true, userKey = 'userId' }: PgChannelStoreOptions = {},
  ) {
    super();
    assertName(userKey, 'options.userKey');
    this.userKey = userKey;
    const { postgres, owned } = postgresOf(sql);
    const migrations = channelMigrations(postgres, { schema: schemaName });
    this.postgres = postgres;
    this.table = new ChannelTable(postgres, schemaName);
    this.writes = new ChannelWrites(this.table, schemaName);
    const name = `The reads of ${schemaName}.lambda_channels`;
    this.texts = new ChannelReads(postgres, name, (ids) => this.table.get(ids));
    this.owners = new ChannelReads(postgres, name, (ids) => this.table.locate(ids));
    this.lifecycle = new Lifecycle(
      'PgChannelStore',
      async () => {
        await (migrate ? migrations.run() : migrations.check());
      },
      async () => {
        await Promise.all([this.writes.close(), this.texts.close(), this.owners.close()]);
        if (owned) await postgres.close();
      },
    );
  }

  async init(): Promise<void> {
    await this.lifecycle.ready();
  }

  close(): Promise<void> {
    return this.lifecycle.close();
  }

  ping(): Promise<number> {
    return this.run('ping PostgreSQL', () => this.postgres.ping());
  }

  async addChannel(channel: NewChannel<Opening>): Promise<string | undefined> {
    const { channelId: id, channelName: name, openingData: opening, nodeId: node } = checkChannel(channel);
    const write = { do: 'add', id, name, opening, node } as const;
    const { owner } = await this.run(`add channel "${id}"`, () => this.write(write), id);
    return owner;
  }

  async removeChannels(channelIds: readonly string[], options: RemoveChannelsOptions = {}): Promise<void> {
    const ids = distinctIds(channelIds);
    const nodeId = ownerOf(options);
    await this.run(`remove ${ids.length} channels`, async () => {
      if (ids.length === 1 && nodeId === undefined) await this.write({ do: 'remove', id: ids[0]! });
      else await this.inBatches(ids, (some) => this.table.remove(some, nodeId));
    });
  }

  async setUserSession(channelId: string, session: Session | null): Promise<void> {
    assertName(channelId, 'channelId');
    const json = session === null ? null : encodeObject(session, 'session');
    const user = session === null ? null : userOf(session, this.userKey);
    const { isKnown } = await this.run(
      `set the session of channel "${channelId}"`,
      () => this.write({ do: 'session', id: channelId, session: json, user }),
      channelId,
    );
    if (!isKnown) throw new ChannelNotFoundError(channelId);
  }

  async getChannelAndSession(channelId: string): Promise<ChannelAndSession<Opening, Session>> {
    assertName(channelId, 'channelId');
    const found = await this.run(`get channel "${channelId}"`, () => this.texts.run(channelId), channelId);
    if (found === undefined) throw new ChannelNotFoundError(channelId);
    return this.parse(channelId, found);
  }

  async getChannels(
    channelIds: readonly string[],
  ): Promise<Map<string, ChannelAndSession<Opening, Session>>> {
    const ids = distinctIds(channelIds);
    const found = new Map<string, ChannelAndSession<Opening, Session>>();
    await this.run(`get ${ids.length} channels`, () =>
      this.readAll(
        ids,
        this.texts,
        (some) => this.table.get(some),
        (id, stored) => found.set(id, this.parse(id, stored)),
      ),
    );
    return found;
  }

  async touch(channelIds: readonly string[]): Promise<void> {
    const ids = distinctIds(channelIds);
    await this.run(`touch ${ids.length} channels`, () =>
      this.inBatches(ids, (some) => this.table.touch(some)),
    );
  }

  async list(options: ListChannelsOptions = {}): Promise<ChannelPage> {
    const { name, after, limit } = checkList(options);
    const found = await this.run('list channels', () => this.table.list(name, after, limit + 1));
    const channels = found.slice(0, limit);
    return { channels, ...(found.length > limit && { cursor: cursorOf(channels.at(-1)!.channelId) }) };
  }

  count(): Promise<number> {
    return this.run('count channels', () => this.table.count());
  }

  async removeStale(olderThan: Duration): Promise<string[]> {
    const ms = parseDuration(olderThan, 'olderThan');
    return this.run('remove stale channels', () => this.untilDone(() => this.table.removeStale(ms, BATCH)));
  }

  async findByUser(userId: string): Promise<string[]> {
    assertName(userId, 'userId');
    return this.run(`find the channels of user "${userId}"`, () => this.table.findByUser(userId));
  }

  async locate(channelIds: readonly string[]): Promise<Map<string, string | null>> {
    const ids = distinctIds(channelIds);
    const owners = new Map<string, string | null>();
    await this.run(`locate ${ids.length} channels`, () =>
      this.readAll(
        ids,
        this.owners,
        (some) => this.table.locate(some),
        (id, owner) => owners.set(id, owner),
      ),
    );
    return owners;
  }

  async heartbeat(nodeId: string, leaseMs: number): Promise<boolean> {
    assertName(nodeId, 'nodeId');
    assertLease(leaseMs);
    return this.run(`renew the lease of node "${nodeId}"`, () => this.table.heartbeat(nodeId, leaseMs));
  }

  async releaseNode(nodeId: string): Promise<string[]> {
    assertName(nodeId, 'nodeId');
    return this.run(`release node "${nodeId}"`, async () => {
      const removed = await this.untilDone(() => this.table.removeOf(nodeId, BATCH));
      await this.table.unregister(nodeId);
      return removed;
    });
  }

  async reap(): Promise<ReapedNode[]> {
    return this.run('remove the channels of dead nodes', async () => {
      if (performance.now() - this.orphansAt > ORPHANS_MS) {
        this.orphansAt = performance.now();
        await this.table.adoptOrphans();
      }
      const dead = new Map<string, string[]>();
      const rows = await this.untilDone(() => this.table.reap(BATCH));
      for (const { nodeId, channelId } of rows) {
        const channelIds = dead.get(nodeId) ?? [];
        dead.set(nodeId, channelIds);
        if (channelId !== null) channelIds.push(channelId);
      }
      return Array.from(dead, ([nodeId, channelIds]) => ({ nodeId, channelIds }));
    });
  }

  nodes(): Promise<ChannelNode[]> {
    return this.run('list nodes', () => this.table.nodesAlive());
  }

  /** Goes with those of other callers; inside a transaction by itself. */
  private async write(write: ChannelWrite): Promise<Written> {
    if (this.postgres.currentTransaction === undefined) return this.writes.run(write);
    const [found] = await this.writes.write([write]);
    return found!;
  }

  private async readAll<T>(
    ids: readonly string[],
    single: ChannelReads<T>,
    several: (ids: string[]) => Promise<Map<string, T>>,
    onFound: (id: string, found: T) => void,
  ): Promise<void> {
    if (ids.length === 1) {
      const found = await single.run(ids[0]!);
      if (found !== undefined) onFound(ids[0]!, found);
      return;
    }
    await this.inBatches(ids, async (some) => {
      for (const [id, found] of await several(some)) onFound(id, found);
    });
  }

  /** In the order of the ids, so that two who take the same rows do not wait for each other in a circle. */
  private async inBatches(ids: readonly string[], fn: (some: string[]) => Promise<unknown>): Promise<void> {
    const sorted = ids.toSorted(compareUtf8);
    for (let i = 0; i < sorted.length; i += BATCH) await fn(sorted.slice(i, i + BATCH));
  }

  /** What was removed is told even when a later batch fails, which the next call goes on with. */
  private async untilDone<T>(next: () => Promise<T[]>): Promise<T[]> {
    const all: T[] = [];
    for (;;) {
      try {
        const some = await next();
        all.push(...some);
        if (some.length < BATCH) return all;
      } catch (error) {
        if (all.length === 0 || this.postgres.currentTransaction !== undefined) throw error;
        return all;
      }
    }
  }

  private parse(
    channelId: string,
    { channelName, openingData, session }: StoredChannel,
  ): ChannelAndSession<Opening, Session> {
    return {
      channelId,
      channelName,
      openingData: JSON.parse(openingData) as Opening,
      session: session === null ? null : (JSON.parse(session) as Session),
    };
  }

  private async run<R>(operation: string, fn: () => Promise<R>, channelId?: string): Promise<R> {
    const opening = this.lifecycle.ready();
    if (opening !== undefined) await opening;
    try {
      return await fn();
    } catch (error) {
      if (error instanceof ClosedError || error instanceof OverloadedError) throw error;
      if (error instanceof InvalidArgumentError) throw error;
      throw new ChannelOperationError(operation, error, channelId);
    }
  }
}
