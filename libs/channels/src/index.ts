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
export {
  BackplaneError,
  ChannelNotFoundError,
  ChannelOperationError,
  PayloadTooLargeError,
} from './channel.errors.js';
export {
  ChannelStore,
  type ChannelAndSession,
  type ChannelNode,
  type ChannelPage,
  type ChannelSummary,
  type ListChannelsOptions,
  type NewChannel,
  type ReapedNode,
} from './channel.store.js';
export type { ChannelTransport, Frame } from './channel.transport.js';
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
