import type { Duration } from '@nestbox/core';
import type { Codec } from './codec/codec.js';
import type { Event, ExpectedStreamVersion, ReadEvent, Upcast } from './event.types.js';
import type { ProjectionRegistration } from './projections/projection.types.js';

/** What an `EventStore` takes, whatever its backend. */
export interface EventStoreSettings {
  /** Projections with their mode; those without run in the transaction of each append (`inline`). */
  projections?: readonly ProjectionRegistration[];
  /** For data that JSON cannot hold, such as Date and bigint: `typedCodec`, or one of your own. Default: JSON only. */
  codec?: Codec;
  /** How events look today; applied to all that is read. */
  upcast?: Upcast;
  /** The category of a stream. Default: what comes before the first `-`, the whole name where there is none. */
  categoryOf?: (streamName: string) => string;
  /** Bytes of JSON that the data and metadata of one event may have. Default: 1 MiB. */
  maxEventBytes?: number;
}

/** The partition that a call is about. */
export interface PartitionOption {
  /** Default: `emt:default`. */
  partition?: string;
}

/** What the stream has to be like, and how the events are written. */
export interface AppendToStreamOptions<
  E extends Event = Event,
  Stored extends Event = E,
> extends PartitionOption {
  /** Default: `NO_CONCURRENCY_CHECK`. */
  expectedStreamVersion?: ExpectedStreamVersion;
  /** For events that have none in their metadata. Inside a reactor: that of the message it handles. */
  correlationId?: string;
  /** The same. Inside a reactor: the id of the message it handles. */
  causationId?: string;
  /** Emmett's place for turning events into how they are stored. */
  schema?: { versioning?: { downcast?: (event: E) => Stored } };
}

/** Where an append has brought its stream. */
export interface AppendToStreamResult {
  /** The stream's version after the last of the events. */
  nextExpectedStreamVersion: bigint;
  createdNewStream: boolean;
  lastEventGlobalPosition: bigint;
}

/** Which events of a stream are read, by their positions in it. */
export interface ReadRange {
  /** The first position, inclusive. Default: 1, or the last one when reading backwards. */
  from?: bigint;
  /** The last position, inclusive. */
  to?: bigint;
  maxCount?: bigint;
  /** From the newest to the oldest; then `from` is the highest position and `to` the lowest. Default: false. */
  backwards?: boolean;
}

/** Which events of a stream are read, and what it has to be like. */
export interface ReadStreamOptions<E extends Event = Event, Stored extends Event = E>
  extends PartitionOption, ReadRange {
  /** Refuses to read when the stream is not so. Default: no check. */
  expectedStreamVersion?: ExpectedStreamVersion;
  /** After the store's own `upcast`. */
  upcast?: Upcast;
  /** Emmett's place for the same. */
  schema?: { versioning?: { upcast?: (event: Stored) => E } };
}

/** The events that were read, and the version of their stream. */
export interface ReadStreamResult<E extends Event> {
  events: ReadEvent<E>[];
  /** The stream's, whatever range was read; 0 for one that is not there. */
  currentStreamVersion: bigint;
  streamExists: boolean;
}

/** Which snapshots are read, and when one is taken. */
export interface SnapshotOptions {
  /** Tells ways of aggregating the same stream apart. Default: `default`. */
  name?: string;
  /** Raise it when the state's shape changes; snapshots of other versions are not used. Default: 1. */
  version?: number;
  /** A snapshot is written when so many events were read beyond the last one. Default: 100. */
  every?: number;
}

/** How the events of a stream become a state. */
export interface AggregateStreamOptions<State, E extends Event, Stored extends Event = E> {
  evolve: (state: State, event: ReadEvent<E>) => State;
  initialState: () => State;
  read?: ReadStreamOptions<E, Stored>;
  /** Keeps the state, so that a long stream is not read from its beginning. The state must be JSON, or suit the codec. Default: none. */
  snapshot?: boolean | SnapshotOptions;
}

/** The state of a stream, and the version that it is of. */
export interface AggregateStreamResult<State> {
  state: State;
  currentStreamVersion: bigint;
  streamExists: boolean;
}

/** Which events of the log are read. */
export interface ReadAllOptions {
  /** Only what is behind this global position. Default: 0, the beginning. */
  after?: bigint;
  types?: readonly string[];
  category?: string;
  /** Events at the most. Default: 1,000 for a page; no limit for an iteration. */
  limit?: number;
  /** One partition, or `*` for all. Default: `emt:default`. */
  partition?: string;
  upcast?: Upcast;
}

/** A part of the log of all events, in their global order. */
export interface LogPage<E extends Event> {
  events: ReadEvent<E>[];
  /** Where to go on: pass it as `after`. */
  position: bigint;
  /** Whether there was nothing more behind these events when they were read. */
  isEnd: boolean;
}

/** Await it for a page, or iterate it for all that there is, in constant memory. */
export interface LogRead<E extends Event> extends Promise<LogPage<E>>, AsyncIterable<ReadEvent<E>> {}

/** Which streams are listed, and how many at a time. */
export interface ListStreamsOptions extends PartitionOption {
  category?: string;
  prefix?: string;
  /** From the page before. */
  cursor?: string;
  /** Default: 100. */
  limit?: number;
}

/** How failures of a handler are treated. */
export interface RetryOptions {
  /** Tries in all. Default: 5. */
  attempts?: number;
  /** Before the second try. Default: 100 ms. */
  base?: Duration;
  /** The longest pause. Default: 10 s. */
  max?: Duration;
}
