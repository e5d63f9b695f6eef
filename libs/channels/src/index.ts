export {
  Backplane,
  type AmbientTransactions,
  type BackplaneMessage,
  type BackplaneReceiver,
  type BackplaneState,
  type BackplaneStatus,
  type HistoryPage,
  type OutgoingMessage,
  type Position,
  type Retention,
} from './backplane/backplane.js';
export { MemoryBackplane } from './backplane/memory/memory.backplane.js';
export { MemoryNetwork } from './backplane/memory/memory-network.js';
export { backplaneMigrations } from './backplane/postgres/backplane-schema.js';
export { PgBackplane, type PgBackplaneOptions } from './backplane/postgres/pg.backplane.js';
export { RedisBackplane, type RedisBackplaneOptions } from './backplane/redis/redis.backplane.js';
export {
  BackplaneError,
  ChannelNotFoundError,
  ChannelOperationError,
  PayloadTooLargeError,
} from './channel.errors.js';
export { ChannelHealthIndicator, type ChannelHealthOptions } from './channel.health.js';
export { ChannelModule, type ChannelModuleExtras } from './channel.module.js';
export type {
  ChannelBaseOptions,
  ChannelMemoryOptions,
  ChannelModuleOptions,
  ChannelPostgresOptions,
  ChannelRedisOptions,
  ChannelStoreOptions,
} from './channel.options.js';
export { ChannelService } from './channel.service.js';
export type {
  Asked,
  ChannelFigures,
  ChannelServiceOptions,
  OpenChannel,
  SendOptions,
  Whereabouts,
} from './channel.service.types.js';
export {
  ChannelStore,
  type ChannelAndSession,
  type ChannelNode,
  type ChannelPage,
  type ChannelSummary,
  type ListChannelsOptions,
  type RemoveChannelsOptions,
  type NewChannel,
  type ReapedNode,
} from './channel.store.js';
export { InjectChannels, getChannelsToken } from './channel.tokens.js';
export type { ChannelTransport, Frame } from './channel.transport.js';
export { MemoryChannelStore, type MemoryChannelStoreOptions } from './memory/memory.channel-store.js';
export { channelMigrations } from './postgres/channel-schema.js';
export { PgChannelStore, type PgChannelStoreOptions } from './postgres/pg.channel-store.js';
export { RedisChannelKeys } from './redis/redis-channel-keys.js';
export { RedisChannelStore } from './redis/redis.channel-store.js';
export type { RedisChannelStoreOptions } from './redis/redis-options.js';
export {
  redisSubscriptions,
  type ListedTopics,
  type OpenSubscriptions,
  type RedisSubscriptions,
  type TopicRange,
} from './redis/subscriptions/redis-subscriptions.js';
export { LocalChannel } from './service/local-channel.js';
