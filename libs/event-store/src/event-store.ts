import { Lifecycle, assertName, runInRootScope } from '@nestbox/core';
import { AppendLane } from './append/append-lane.js';
import { appendNothing } from './append/append-nothing.js';
import { appendResult } from './append/append-result.js';
import { prepareAppend, type PrepareSettings } from './append/prepare-append.js';
import { Consumer } from './consumers/consumer.js';
import type { ConsumerOptions, RebuildOptions } from './consumers/consumer.types.js';
import { ProcessorAdmin } from './consumers/processor-admin.js';
import { rebuildProjection, type RebuildTarget } from './consumers/rebuild.js';
import { Collection } from './documents/collection.js';
import type { EventStoreBackend } from './event-store.backend.js';
import { ExpectedVersionConflictError, NotFoundError } from './event-store.errors.js';
import type {
  AggregateStreamOptions,
  AggregateStreamResult,
  AppendToStreamOptions,
  AppendToStreamResult,
  EventStoreSettings,
  ListStreamsOptions,
  LogRead,
  PartitionOption,
  ReadAllOptions,
  ReadStreamOptions,
  ReadStreamResult,
} from './event-store.types.js';
import type { Event, ExpectedStreamVersion, ReadEvent } from './event.types.js';
import { ProjectionRegistry } from './projections/projection-registry.js';
import type { Projection, ProjectionRegistration } from './projections/projection.types.js';
import { Partitions } from './streams/partitions.js';
import { Aggregator } from './streams/aggregate.js';
import { listStreams, type StreamPage } from './streams/list-streams.js';
import { EventLogRead } from './streams/log-read.js';
import { EventDecoder } from './streams/read-event.js';
import { StoreSchema } from './streams/schema.js';
import { StreamReader, existsAs } from './streams/stream-reader.js';
import { beforeDash } from './streams/category.js';
import { checkExpected, checkPartition } from './support/arguments.js';
import { operation } from './support/operation.js';

/** What `withSession` calls its function with. */
export interface EventStoreSession {
  /** The store, whose calls are part of the transaction. */
  readonly eventStore: EventStore;
  /** For those who expect a session to have it; the session ends with its function. */
  close(): Promise<void>;
}

/**
 * Streams of events, projections of them, and consumers. It opens when it is first used. Calls inside a transaction of
 * the backend's `Postgres` are part of it.
 *
 * All methods throw InvalidArgumentError before any I/O, EventStoreOperationError when the backend fails, and
 * ClosedError after {@link close}.
 */
export class EventStore {
  /** The tenants. */
  readonly partitions: Partitions;
  readonly schema: StoreSchema;
  /** What consumers of all instances have done, and may do. */
  readonly processors: ProcessorAdmin;
  /** @internal */
  readonly decoder: EventDecoder;
  private readonly settings: PrepareSettings;
  private readonly lane: AppendLane;
  private readonly reader: StreamReader;
  private readonly aggregator: Aggregator;
  private readonly registry: ProjectionRegistry;
  private readonly lifecycle: Lifecycle;
  private readonly consumers = new Set<Consumer>();

  /** @throws InvalidArgumentError */
  constructor(
    readonly backend: EventStoreBackend,
    settings: EventStoreSettings = {},
  ) {
    const { projections = [], codec, upcast, categoryOf = beforeDash, maxEventBytes = 1_048_576 } = settings;
    this.settings = { codec, categoryOf, maxEventBytes };
    this.decoder = new EventDecoder(codec, upcast);
    this.lane = new AppendLane(backend, codec, this.decoder);
    this.reader = new StreamReader(backend, this.decoder);
    this.aggregator = new Aggregator(backend, this.reader, codec);
    this.registry = new ProjectionRegistry(backend, codec);
    this.lifecycle = new Lifecycle(
      'EventStore',
      async () => {
        await this.backend.init();
        await this.registry.init();
      },
      () => this.shut(),
    );
    const ready = (): Promise<void> => this.ready();
    this.partitions = new Partitions(backend, ready);
    this.schema = new StoreSchema(backend);
    this.processors = new ProcessorAdmin(backend, this.decoder, ready);
    this.registerProjections(projections);
  }

  /** Creates or checks the schema. May be called twice, and again after it failed. */
  async init(): Promise<void> {
    await this.ready();
  }

  /** Stops the consumers, waits for appends under way, and closes what the store has opened. May be called twice. */
  close(): Promise<void> {
    return this.lifecycle.close();
  }

  /**
   * Adds projections. Inline ones take part in appends from now on; call it before the first.
   *
   * @throws InvalidArgumentError for a name or a collection that another projection has
   */
  registerProjections(projections: readonly ProjectionRegistration[]): void {
    this.registry.add(projections);
    this.lane.use(this.registry.inline);
  }

  /**
   * Appends events to a stream: all of them or none. Nothing to append is an append that changes nothing.
   *
   * @throws ExpectedVersionConflictError; StreamArchivedError; StreamDeletedError; PartitionNotFoundError;
   *   DuplicateMessageError; ProjectionFailedError
   */
  async appendToStream<E extends Event, Stored extends Event = E>(
    streamName: string,
    events: readonly E[],
    options: AppendToStreamOptions<E, Stored> = {},
  ): Promise<AppendToStreamResult> {
    const request = prepareAppend(streamName, events, options, this.settings);
    return operation(
      `append to stream "${streamName}"`,
      async () => {
        await this.ready();
        if (request.messages.length === 0) return appendNothing(this.backend, request);
        return appendResult(request, await this.lane.append(request));
      },
      streamName,
    );
  }

  /**
   * Reads a stream, or a range of it.
   *
   * @throws ExpectedVersionConflictError when `expectedStreamVersion` is given and the stream is not so
   */
  async readStream<E extends Event, Stored extends Event = E>(
    streamName: string,
    options: ReadStreamOptions<E, Stored> = {},
  ): Promise<ReadStreamResult<E>> {
    return this.run(
      `read stream "${streamName}"`,
      () => this.reader.read<E, Stored>(streamName, options),
      streamName,
    );
  }

  /** The events of a stream, in constant memory. What is appended meanwhile may be among them. */
  async *streamEvents<E extends Event, Stored extends Event = E>(
    streamName: string,
    options: ReadStreamOptions<E, Stored> = {},
  ): AsyncGenerator<ReadEvent<E>> {
    const pages = this.reader.pages<E, Stored>(streamName, options);
    for (;;) {
      const page = await this.run(`read stream "${streamName}"`, () => pages.next(), streamName);
      if (page.done === true) return;
      yield* page.value.events;
    }
  }

  /**
   * The log: all events in one order that every reader sees, with nothing missing. Await it for a page, or iterate it.
   */
  readAll<E extends Event = Event>(options: ReadAllOptions = {}): LogRead<E> {
    return new EventLogRead<E>(this.backend, this.decoder, options, () => this.ready());
  }

  /** Folds a stream into a state. */
  async aggregateStream<State, E extends Event, Stored extends Event = E>(
    streamName: string,
    options: AggregateStreamOptions<State, E, Stored>,
  ): Promise<AggregateStreamResult<State>> {
    return this.run(
      `aggregate stream "${streamName}"`,
      () => this.aggregator.aggregate<State, E, Stored>(streamName, options),
      streamName,
    );
  }

  /** Whether the stream has events; false for a deleted one. */
  async streamExists(streamName: string, options: PartitionOption = {}): Promise<boolean> {
    assertName(streamName, 'streamName');
    const partition = checkPartition(options.partition);
    return this.run(
      `look up stream "${streamName}"`,
      async () => existsAs(await this.backend.streamState(partition, streamName)),
      streamName,
    );
  }

  /** Streams by name, page by page, deleted ones included. */
  async listStreams(options: ListStreamsOptions = {}): Promise<StreamPage> {
    return this.run('list streams', () => listStreams(this.backend, options));
  }

  /** The stream takes no more events, and can still be read. @returns false when there is no such stream */
  async archiveStream(streamName: string, options: PartitionOption = {}): Promise<boolean> {
    return this.setArchived(streamName, options, true);
  }

  /** @returns false when there is no such stream */
  async unarchiveStream(streamName: string, options: PartitionOption = {}): Promise<boolean> {
    return this.setArchived(streamName, options, false);
  }

  /**
   * Deletes the events of a stream for good, and keeps its name from being used again. In the log, a message of the type
   * `$StreamDeleted` takes their place, for readers that name this type.
   *
   * @returns false when there is no such stream
   * @throws ExpectedVersionConflictError
   */
  async deleteStream(
    streamName: string,
    options: PartitionOption & { expectedStreamVersion?: ExpectedStreamVersion } = {},
  ): Promise<boolean> {
    assertName(streamName, 'streamName');
    const partition = checkPartition(options.partition);
    const expected = checkExpected(options.expectedStreamVersion);
    const result = await this.run(
      `delete stream "${streamName}"`,
      () => this.backend.deleteStream(partition, streamName, expected),
      streamName,
    );
    if ('conflict' in result) throw new ExpectedVersionConflictError(streamName, result.conflict, expected);
    return result.deleted;
  }

  /** Runs `fn` in a transaction: what it appends by the store is there as a whole, or, when it throws, not at all. */
  async withSession<T = unknown>(fn: (session: EventStoreSession) => Promise<T>): Promise<T> {
    await this.ready();
    return this.backend.transaction(() => fn({ eventStore: this, close: () => Promise.resolve() }));
  }

  /** The documents that a projection has made. */
  collection<T extends object = Record<string, unknown>>(
    name: string,
    options: PartitionOption = {},
  ): Collection<T> {
    assertName(name, 'name');
    return new Collection<T>(
      this.backend.documents,
      name,
      checkPartition(options.partition),
      this.settings.codec,
      () => this.ready(),
    );
  }

  /** Reads the log as it grows. Add projectors and reactors, then start it. */
  consumer(options: ConsumerOptions = {}): Consumer {
    const consumer = new Consumer(this, options);
    this.consumers.add(consumer);
    return consumer;
  }

  /**
   * Builds a projection anew from the log while writes go on, and puts the new version in the place of the old one.
   *
   * @param projection or the name of one that the store, or one of its consumers, has
   * @throws RebuildInProgressError; NotFoundError; UnsupportedOperationError for one that cannot be rebuilt;
   *   the reason of `signal`
   */
  async rebuild(projection: Projection | string, options: RebuildOptions = {}): Promise<{ events: number }> {
    const name = typeof projection === 'string' ? projection : projection.name;
    const target = (): RebuildTarget => this.rebuildTarget(projection, options);
    try {
      return await this.run(`rebuild projection "${name}"`, () => rebuildProjection(this, target(), options));
    } catch (error) {
      options.signal?.throwIfAborted();
      throw error;
    }
  }

  /** The position of the last event in the log, of all partitions; 0 when there is none. */
  async head(): Promise<bigint> {
    return this.run('read the head of the log', () => this.backend.head());
  }

  /** @internal */
  get codec(): PrepareSettings['codec'] {
    return this.settings.codec;
  }

  /** @internal */
  async ready(): Promise<void> {
    const opening = this.lifecycle.ready();
    if (opening !== undefined) await opening;
    // Those that were added since.
    if (!this.registry.isInitialized) await runInRootScope(() => this.registry.init());
  }

  private rebuildTarget(given: Projection | string, { processorId }: RebuildOptions): RebuildTarget {
    const name = typeof given === 'string' ? given : given.name;
    const consumed = [...this.consumers]
      .map((consumer) => consumer.projectionNamed(name))
      .find((each) => each);
    const projection = typeof given === 'string' ? (this.registry.find(name) ?? consumed?.projection) : given;
    if (projection === undefined) {
      throw new NotFoundError(
        'projection',
        name,
        'Give the projection itself, or register it with the store.',
      );
    }
    return {
      projection,
      mode: this.registry.modeOf(name),
      processorId: processorId ?? consumed?.processorId ?? name,
      upcast: consumed?.upcast,
    };
  }

  private async setArchived(
    streamName: string,
    options: PartitionOption,
    archived: boolean,
  ): Promise<boolean> {
    assertName(streamName, 'streamName');
    const partition = checkPartition(options.partition);
    return this.run(
      `${archived ? 'archive' : 'unarchive'} stream "${streamName}"`,
      () => this.backend.setArchived(partition, streamName, archived),
      streamName,
    );
  }

  private async run<R>(name: string, fn: () => Promise<R>, streamName?: string): Promise<R> {
    const opened = async (): Promise<R> => {
      await this.ready();
      return fn();
    };
    return operation(name, opened, streamName);
  }

  private async shut(): Promise<void> {
    await Promise.all([...this.consumers].map((consumer) => consumer.stop()));
    await this.lane.close();
    await this.backend.close();
  }
}
