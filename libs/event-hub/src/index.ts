export { EventHubOperationError } from './event-hub.errors.js';
export { EventHubHealthIndicator, type EventHubHealthOptions } from './event-hub.health.js';
export { EventHubModule, type EventHubModuleExtras } from './event-hub.module.js';
export type {
  BackplaneKind,
  EventHubBaseOptions,
  EventHubMemoryOptions,
  EventHubModuleOptions,
  EventHubPostgresOptions,
  EventHubRedisOptions,
  EventHubStoreOptions,
} from './event-hub.module.options.js';
export type {
  EventHubServiceOptions,
  HistoryOptions,
  HubSettings,
  TopicOptions,
} from './event-hub.options.js';
export { EventHubService, type HubFigures } from './event-hub.service.js';
export {
  EventHubStore,
  type DataOf,
  type ListTopicsOptions,
  type TopicOf,
  type TopicPage,
} from './event-hub.store.js';
export { InjectEventHub, getEventHubToken } from './event-hub.tokens.js';
export type {
  DataFor,
  HistoryQuery,
  HubHandler,
  PresentChannel,
  PublishOptions,
  PublishResult,
  SubscribeOptions,
  SubscribeResult,
  TopicPattern,
} from './event-hub.types.js';
export { OnTopic, type OnTopicOptions } from './on-topic.decorator.js';
export type { HubChannels } from './service/hub-channels.js';
export type { HubMessage, HubMessageContext } from './service/hub-message.js';
export type { HubListener } from './service/topic-handlers.js';
export type { SchemaResult, StandardSchemaV1 } from './standard-schema.js';
export { RedisEventHubStore, type RedisEventHubStoreOptions } from './redis/redis.event-hub-store.js';
export { MemoryEventHubStore } from './memory/memory.event-hub-store.js';
export { eventHubMigrations } from './postgres/event-hub-schema.js';
export { PgEventHubStore, type PgEventHubStoreOptions } from './postgres/pg.event-hub-store.js';
export { SUBSCRIBED_EVENT, sseStream, type SseStreamOptions, type SubscribingHub } from './sse/sse-stream.js';
export { CloseCode } from './websocket/close-codes.js';
export { ConnectedChannel, channelOf } from './websocket/connected-channel.js';
export { NestboxWsAdapter } from './websocket/nestbox-ws.adapter.js';
export type {
  HeartbeatOptions,
  NestboxWsAdapterOptions,
  OriginRule,
} from './websocket/nestbox-ws-adapter.options.js';
