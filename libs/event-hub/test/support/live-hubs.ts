import {
  ChannelService,
  MemoryBackplane,
  MemoryChannelStore,
  MemoryNetwork,
  PgBackplane,
  PgChannelStore,
  RedisBackplane,
  RedisChannelStore,
  type Backplane,
  type ChannelStore,
  type Frame,
  type LocalChannel,
} from '@nestbox/channels';
import {
  EventHubService,
  MemoryEventHubStore,
  PgEventHubStore,
  RedisEventHubStore,
  type EventHubServiceOptions,
  type EventHubStore,
} from '@nestbox/event-hub';
import { Postgres } from '@nestbox/postgres';
import { Redis } from '@nestbox/redis';
import { testDatabase, testRedis, type TestDatabase } from '@nestbox/testing';

export type Backend = 'memory' | 'redis' | 'redis-sharded' | 'postgres';

/** A connected client, and what came through its connection. */
export interface Client {
  id: string;
  channel: LocalChannel;
  frames: Frame[];
  data(): unknown[];
  offsets(): (number | undefined)[];
}

export interface Instance {
  hub: EventHubService;
  channels: ChannelService;
  /** The connection of this instance, on PostgreSQL. */
  postgres: Postgres | undefined;
  connect(id: string, onFrame?: (frame: Frame) => void): Promise<Client>;
}

interface Parts {
  channelStore: ChannelStore;
  store: EventHubStore;
  bus: Backplane;
  backplane: Backplane;
  postgres?: Postgres;
  redis?: Redis;
}

/** Instances of one application on one backend, as separate objects in this process. */
export class LiveHubs {
  private readonly closing: (() => Promise<unknown>)[] = [];
  private readonly networks = [new MemoryNetwork(), new MemoryNetwork()] as const;
  private readonly memory = new MemoryChannelStore();
  private readonly memoryHub = new MemoryEventHubStore(this.memory);
  private database: TestDatabase | undefined;
  private space: { url: string; prefix: string } | undefined;

  constructor(readonly backend: Backend) {}

  async add(options: Partial<EventHubServiceOptions> = {}): Promise<Instance> {
    const parts = await this.parts();
    const channels = new ChannelService({ store: parts.channelStore, backplane: parts.bus });
    await channels.init();
    const hub = new EventHubService({
      store: parts.store,
      backplane: parts.backplane,
      channels,
      cascades: true,
      closeStore: this.backend !== 'memory',
      ...options,
    });
    await hub.init();
    this.closing.push(async () => {
      await hub.close();
      if (this.backend === 'memory') await parts.backplane.close();
      await channels.close();
      await parts.postgres?.close();
      await parts.redis?.close();
    });
    return {
      hub,
      channels,
      postgres: parts.postgres,
      connect: (id, onFrame) => connect(channels, id, onFrame),
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.closing.splice(0).map((close) => close()));
    await this.database?.drop();
  }

  private async parts(): Promise<Parts> {
    switch (this.backend) {
      case 'memory':
        return {
          channelStore: this.memory,
          store: this.memoryHub,
          bus: new MemoryBackplane(this.networks[0]),
          backplane: new MemoryBackplane(this.networks[1]),
        };
      case 'redis':
      case 'redis-sharded': {
        const sharded = this.backend === 'redis-sharded';
        this.space ??= await testRedis();
        const redis = new Redis(this.space.url);
        const prefix = `${this.space.prefix}hub`;
        return {
          redis,
          channelStore: new RedisChannelStore(redis, prefix),
          store: new RedisEventHubStore(redis, prefix),
          bus: new RedisBackplane(redis, { prefix, name: 'channels', sharded }),
          backplane: new RedisBackplane(redis, { prefix, sharded }),
        };
      }
      case 'postgres': {
        this.database ??= await testDatabase();
        const postgres = new Postgres(this.database.url);
        return {
          postgres,
          channelStore: new PgChannelStore(postgres),
          store: new PgEventHubStore(postgres),
          bus: new PgBackplane(postgres, { name: 'channels' }),
          backplane: new PgBackplane(postgres),
        };
      }
    }
  }
}

async function connect(
  channels: ChannelService,
  channelId: string,
  onFrame?: (frame: Frame) => void,
): Promise<Client> {
  const frames: Frame[] = [];
  const channel = await channels.open({
    channelId,
    channelName: 'test',
    transport: {
      send: (frame) => {
        onFrame?.(frame);
        frames.push(frame);
      },
      close: () => undefined,
    },
  });
  const texts = (): { data: unknown; offset?: number }[] =>
    frames
      .filter(({ binary }) => !binary)
      .map(({ data }) => JSON.parse(data.toString()) as { data: unknown; offset?: number });
  return {
    id: channelId,
    channel,
    frames,
    data: () => texts().map(({ data }) => data),
    offsets: () => texts().map(({ offset }) => offset),
  };
}
