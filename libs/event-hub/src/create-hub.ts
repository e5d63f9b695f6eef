import {
  MemoryBackplane,
  MemoryChannelStore,
  PgBackplane,
  RedisBackplane,
  getChannelsToken,
  type Backplane,
  type ChannelService,
} from '@nestbox/channels';
import { InvalidArgumentError } from '@nestbox/core';
import { findConnection } from '@nestbox/nest';
import { getPostgresToken, type Postgres } from '@nestbox/postgres';
import { getRedisToken, type Redis } from '@nestbox/redis';
import type { ModuleRef } from '@nestjs/core';
import type { BackplaneKind, EventHubModuleOptions } from './event-hub.module.options.js';
import { EventHubService } from './event-hub.service.js';
import { EventHubStore } from './event-hub.store.js';
import { MemoryEventHubStore } from './memory/memory.event-hub-store.js';
import { PgEventHubStore } from './postgres/pg.event-hub-store.js';
import { RedisEventHubStore } from './redis/redis.event-hub-store.js';

/** What the application has under the names that were known when the module was put together. */
export interface Known {
  /** The name of the hub. */
  name: string | undefined;
  connection: string | undefined;
  postgres: Postgres | undefined;
  redis: Redis | undefined;
  channels: ChannelService | undefined;
}

/** The hub that the options ask for. */
export function createHub(
  options: EventHubModuleOptions,
  known: Known,
  moduleRef: ModuleRef,
): EventHubService {
  const { store: kind, topics, maxPayload, resyncInterval } = options;
  const connections = new Connections(known, options.connection, moduleRef);
  const channels = known.channels ?? findChannels(moduleRef, options.channels);
  const isBuiltIn = kind === 'postgres' || kind === 'redis' || kind === 'memory';
  if (isBuiltIn) assertSameKind(kind, channels.store.backend);
  const backplane = createBackplane(options.backplane ?? (isBuiltIn ? kind : 'memory'), options, connections);
  return new EventHubService({
    store: createStore(options, channels, connections),
    backplane,
    channels,
    topics,
    maxPayload,
    resyncInterval,
    transactions: backplane.transactions ?? connections.postgresIfAny,
    cascades: isBuiltIn,
    closeStore: 'closeStore' in options ? options.closeStore : true,
    name: known.name === undefined ? 'hub' : `hub:${known.name}`,
  });
}

function createStore(
  options: EventHubModuleOptions,
  channels: ChannelService,
  connections: Connections,
): EventHubStore {
  const { store, schema, keyPrefix, migrate } = options;
  switch (store) {
    case 'memory':
      return new MemoryEventHubStore(
        channels.store instanceof MemoryChannelStore ? channels.store : undefined,
      );
    case 'redis':
      return new RedisEventHubStore(connections.redis, keyPrefix);
    case 'postgres':
      return new PgEventHubStore(connections.postgres, schema, { migrate });
    default:
      if (isStore(store)) return store;
      throw new InvalidArgumentError('store', "must be 'postgres', 'redis', 'memory', or an EventHubStore.");
  }
}

function createBackplane(
  backplane: BackplaneKind | Backplane,
  { schema, keyPrefix, migrate }: EventHubModuleOptions,
  connections: Connections,
): Backplane {
  switch (backplane) {
    case 'memory':
      return new MemoryBackplane();
    case 'redis':
      return new RedisBackplane(connections.redis, { prefix: keyPrefix });
    case 'redis-sharded':
      return new RedisBackplane(connections.redis, { prefix: keyPrefix, sharded: true });
    case 'postgres':
      return new PgBackplane(connections.postgres, { schema, migrate });
    default:
      if (isBackplane(backplane)) return backplane;
      throw new InvalidArgumentError(
        'backplane',
        "must be 'postgres', 'redis', 'redis-sharded', 'memory', or a Backplane.",
      );
  }
}

/** The connections that a hub may use, looked up when one is needed. */
class Connections {
  constructor(
    private readonly known: Known,
    private readonly named: string | undefined,
    private readonly moduleRef: ModuleRef,
  ) {}

  get postgres(): Postgres {
    return (
      this.known.postgres ??
      findConnection(this.moduleRef, getPostgresToken, 'PostgresModule', this.named ?? this.known.connection)
    );
  }

  get redis(): Redis {
    return (
      this.known.redis ??
      findConnection(this.moduleRef, getRedisToken, 'RedisModule', this.named ?? this.known.connection)
    );
  }

  /** The database whose transactions a hub on another backend has to wait for. */
  get postgresIfAny(): Postgres | undefined {
    try {
      return this.known.postgres ?? this.moduleRef.get<Postgres>(getPostgresToken(), { strict: false });
    } catch {
      // Nest throws where it knows no such provider.
      return undefined;
    }
  }
}

function findChannels(moduleRef: ModuleRef, name: string | undefined): ChannelService {
  let found: ChannelService | undefined;
  try {
    found = moduleRef.get<ChannelService>(getChannelsToken(name), { strict: false });
  } catch {
    // Nest throws where it knows no such provider.
  }
  if (found !== undefined && found !== null) return found;
  const named = name === undefined ? '' : `, name: '${name}'`;
  throw new InvalidArgumentError(
    'channels',
    `there is no ChannelModule${name === undefined ? '' : ` of the name '${name}'`}. Import ChannelModule.forRoot({ store: …${named} }) in the application's root module.`,
  );
}

/** Subscriptions live and end with their channels, so both have to be in one place. */
function assertSameKind(store: string, channels: string): void {
  if (!['postgres', 'redis', 'memory'].includes(channels) || channels === store) return;
  throw new InvalidArgumentError(
    'store',
    `the event hub keeps its subscriptions in '${store}', and the ChannelModule its channels in '${channels}'. Give both modules the same store.`,
  );
}

/** Told by their methods: an application may have two copies of the package. */
function isStore(store: unknown): store is EventHubStore {
  return hasMethods(store, ['init', 'close', 'subscribe', 'unsubscribe', 'getTopicsForChannels']);
}

function isBackplane(backplane: unknown): backplane is Backplane {
  return hasMethods(backplane, ['open', 'close', 'join', 'leave', 'publish', 'history']);
}

function hasMethods(object: unknown, methods: readonly string[]): boolean {
  if (typeof object !== 'object' || object === null) return false;
  return methods.every((method) => typeof Reflect.get(object, method) === 'function');
}
