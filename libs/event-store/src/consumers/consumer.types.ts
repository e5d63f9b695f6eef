import type { Duration } from '@nestbox/core';
import type { Event, ReadEvent, Upcast } from '../event.types.js';
import type { RetryOptions } from '../event-store.types.js';
import type { Projection } from '../projections/projection.types.js';
import type { ProcessorStatus } from './processor.backend.js';

/** Where a processor begins that has no checkpoint yet; one that has goes on from there. */
export type StartFrom = 'BEGINNING' | 'END' | { readonly position: bigint };

/** Which events a consumer gets, and how it waits for them. */
export interface ConsumerOptions {
  /** One partition, or `*` for all. Default: `emt:default`. */
  partition?: string;
  /** How often to look for events without having been woken, in ms. Default: 1,000. */
  pollMs?: number;
  /** Stops the consumer when nothing is left to read; `start` then resolves when it has stopped. Default: never. */
  stopWhen?: { noMessagesLeft?: boolean };
}

/** What projectors and reactors have in common. */
export interface ProcessorOptions {
  /** Default: `BEGINNING`. */
  startFrom?: StartFrom;
  /** Events that are read, and checkpointed, at once. Default: 500. */
  batchSize?: number;
  /** How long the processor stays with an instance that does not answer. Default: 10 s. */
  lease?: Duration;
  /** Streams are spread by hash over so many workers, of all instances. Default: 1, all in the order of the log. */
  parallelism?: number;
  /** How often a failing handler is tried again, and when. */
  retry?: RetryOptions;
  /**
   * What happens to an event whose handler keeps failing: true parks it and goes on; false stops the processor (status
   * `failed`). Default: true for a reactor, false for a projector, whose result would be wrong without the event.
   */
  deadLetter?: boolean;
  /** How events look today; after the store's own. */
  upcast?: Upcast;
}

export interface ProjectorOptions<E extends Event = Event> extends ProcessorOptions {
  /** Default: the projection's name. */
  processorId?: string;
  projection: Projection<E>;
}

/** What a reactor's handler gets beside the event. */
export interface ReactorContext {
  readonly processorId: string;
  readonly partition: string;
  /** 1 for the first try. */
  readonly attempt: number;
  /** Aborts when the processor's lease was lost or the consumer is told to stop at once. */
  readonly signal: AbortSignal;
}

/** `STOP` ends the processor behind this event; `SKIP` changes nothing. */
export type HandlerResult = void | { type: 'SKIP'; reason?: string } | { type: 'STOP'; reason?: string };

export interface ReactorOptions<E extends Event = Event> extends ProcessorOptions {
  processorId: string;
  /** The types of the events that it gets. Default: all. */
  canHandle?: readonly E['type'][];
  /** Gets one event after the other. Each is handled at least once: after a crash, the last batch comes again. */
  eachMessage?(event: ReadEvent<E>, context: ReactorContext): Promise<HandlerResult> | HandlerResult;
  /** Gets a batch of them instead. */
  eachBatch?(
    events: readonly ReadEvent<E>[],
    context: ReactorContext,
  ): Promise<HandlerResult> | HandlerResult;
  /**
   * Runs each batch in a transaction together with its checkpoint, so that what handlers write to this database, by any
   * Nestbox service, happens exactly once. Default: false.
   */
  transactional?: boolean;
}

/** How far a processor is. */
export interface ProcessorInfo {
  readonly processorId: string;
  readonly partition: string;
  readonly status: ProcessorStatus;
  /** Of the slowest shard. */
  readonly position: bigint;
  readonly shards: number;
  /** Global positions between it and the head of the log. */
  readonly lag: bigint;
  /** The age of the oldest event that is not handled yet, in ms; 0 when there is none. */
  readonly lagMs: number;
  readonly parked: number;
  readonly error: string | undefined;
  readonly updatedAt: Date;
}

/** What a rebuild tells while it goes on. */
export interface RebuildProgress {
  readonly projection: string;
  readonly phase: 'building' | 'switching' | 'done';
  readonly events: number;
  readonly position: bigint;
  readonly head: bigint;
  readonly eventsPerSecond: number;
  /** Undefined until there is a rate. */
  readonly remainingMs: number | undefined;
}

/** How a projection is rebuilt. */
export interface RebuildOptions {
  /** The processor that runs an async projection. Default: as this store's consumers have it, else the projection's name. */
  processorId?: string;
  /** Events at once. Default: 1,000. */
  batchSize?: number;
  onProgress?: (progress: RebuildProgress) => void;
  signal?: AbortSignal;
}
