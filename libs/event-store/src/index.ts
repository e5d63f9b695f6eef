export {
  DuplicateMessageError,
  EventStoreOperationError,
  ExpectedVersionConflictError,
  NotFoundError,
  PartitionNotFoundError,
  ProcessorFailedError,
  ProjectionFailedError,
  RebuildInProgressError,
  StreamArchivedError,
  StreamDeletedError,
} from './event-store.errors.js';
export {
  DEFAULT_PARTITION,
  NO_CONCURRENCY_CHECK,
  STREAM_DELETED,
  STREAM_DOES_NOT_EXIST,
  STREAM_EXISTS,
  type Event,
  type EventMetadata,
  type ExpectedStreamVersion,
  type MetadataOf,
  type ReadEvent,
  type Upcast,
} from './event.types.js';
export type {
  AggregateStreamOptions,
  AggregateStreamResult,
  AppendToStreamOptions,
  AppendToStreamResult,
  EventStoreSettings,
  ListStreamsOptions,
  LogPage,
  LogRead,
  PartitionOption,
  ReadAllOptions,
  ReadRange,
  ReadStreamOptions,
  ReadStreamResult,
  RetryOptions,
  SnapshotOptions,
} from './event-store.types.js';
export type {
  AppendOutcome,
  AppendRequest,
  EventStoreBackend,
  LogQuery,
  NewMessage,
  RunStatement,
  Snapshot,
  SnapshotKey,
  StoredMessage,
  StreamInfo,
  StreamQuery,
  StreamSlice,
  StreamState,
} from './event-store.backend.js';
export { EventStore, type EventStoreSession } from './event-store.js';
export {
  createConsumer,
  createEventStore,
  projector,
  reactor,
  type CreateConsumerOptions,
  type CreateEventStoreOptions,
  type ProcessorDefinition,
  type StandaloneConsumer,
} from './create-event-store.js';
export type { Codec } from './codec/codec.js';
export { typedCodec } from './codec/typed-codec.js';
export { deciderHandler, type Decider, type DeciderHandlerSettings } from './commands/decider-handler.js';
export {
  handleCommand,
  type CommandHandler,
  type CommandStore,
  type HandleCommandOptions,
  type HandleCommandResult,
  type HandleCommandSettings,
} from './commands/handle-command.js';
export { Consumer } from './consumers/consumer.js';
export type {
  ConsumerOptions,
  HandlerResult,
  ProcessorInfo,
  ProcessorOptions,
  ProjectorOptions,
  ReactorContext,
  ReactorOptions,
  RebuildOptions,
  RebuildProgress,
  StartFrom,
} from './consumers/consumer.types.js';
export { Processor } from './consumers/processor.js';
export { ProcessorAdmin, type ParkedEvent, type ProcessorPartition } from './consumers/processor-admin.js';
export {
  ALL_PARTITIONS,
  type Checkpoint,
  type CheckpointKey,
  type Fence,
  type ParkedMessage,
  type ProcessorBackend,
  type ProcessorKey,
  type ProcessorLease,
  type ProcessorStatus,
  type SaveResult,
} from './consumers/processor.backend.js';
export { Collection, type DocumentPage, type ReadDocument } from './documents/collection.js';
export type {
  CollectionSchema,
  DocumentBackend,
  DocumentChange,
  DocumentKey,
  StoredDocument,
} from './documents/document.backend.js';
export type { DocumentFields } from './documents/document-codec.js';
export type { Comparison, ComparisonOperator, DocumentQuery } from './documents/document-query.js';
export type { DocumentFilter, DocumentSort, FilterOperators, FindOptions } from './documents/filter.js';
export type { WritableCollection } from './documents/writable-collection.js';
export { documentProjection, type DocumentProjectionOptions } from './projections/document.projection.js';
export type { EvolvingProjectionOptions } from './projections/document-plan.js';
export {
  multiStreamProjection,
  type MultiStreamProjectionOptions,
} from './projections/multi-stream.projection.js';
export type {
  Document,
  ProjectionContext,
  ProjectionMode,
  ProjectionRegistration,
} from './projections/projection.types.js';
export {
  singleStreamProjection,
  type SingleStreamProjectionOptions,
} from './projections/single-stream.projection.js';
export {
  rawSqlProjection,
  sqlProjection,
  type RawSqlProjectionOptions,
  type SqlProjectionOptions,
  type Statement,
  type TableProjectionOptions,
} from './projections/sql.projection.js';
export {
  Projection,
  type AsyncProjectionOptions,
  type DocumentProjection,
  type InlineProjectionOptions,
  type ProjectionDecoratorOptions,
  type ProjectionHandler,
} from './projection.decorator.js';
export {
  Reactor,
  type ReactorBatchHandler,
  type ReactorDecoratorOptions,
  type ReactorHandler,
} from './reactor.decorator.js';
export { EventStoreHealthIndicator, type EventStoreHealthOptions } from './event-store.health.js';
export { EventStoreModule, type EventStoreModuleExtras } from './event-store.module.js';
export type { EventStoreModuleOptions, ModuleConsumerOptions } from './event-store.module.options.js';
export { InjectEventStore, getEventStoreToken } from './event-store.tokens.js';
export { MemoryEventStoreBackend } from './memory/memory.event-store-backend.js';
export { eventStoreMigrations } from './postgres/event-store-schema.js';
export { PgEventStoreBackend, type PgEventStoreBackendOptions } from './postgres/pg.event-store-backend.js';
export type { Partitions } from './streams/partitions.js';
export type { StoreSchema } from './streams/schema.js';
export type { StreamPage } from './streams/list-streams.js';
