import { Coalescer } from '@nestbox/core';
import type { Codec } from '../codec/codec.js';
import type { AppendOutcome, AppendRequest, EventStoreBackend } from '../event-store.backend.js';
import { PartitionNotFoundError, ProjectionFailedError } from '../event-store.errors.js';
import type { Projection } from '../projections/projection.types.js';
import { appendAndProject } from '../projections/project-append.js';
import { storedTypesOf } from '../projections/run-projection.js';
import type { EventDecoder } from '../streams/read-event.js';

/** How often an append that took no effect is tried again. */
const ATTEMPTS = 8;

/** Sends appends: those of many callers in one statement, together with the projections of documents. */
export class AppendLane {
  private readonly coalescer: Coalescer<AppendRequest, AppendOutcome>;
  private projections: readonly Projection[] = [];

  constructor(
    readonly backend: EventStoreBackend,
    readonly codec: Codec | undefined,
    readonly decoder: EventDecoder,
  ) {
    this.coalescer = new Coalescer<AppendRequest, AppendOutcome>({
      name: 'EventStore',
      key: ({ partition, streamName }) => `${partition}\0${streamName}`,
      size: ({ encoded }) => encoded.length,
      isDataError: (error) => this.isDataError(error),
      flush: (requests) => this.again(() => this.send(requests)),
    });
  }

  /** The inline projections. */
  use(projections: readonly Projection[]): void {
    this.projections = projections;
  }

  async append(request: AppendRequest): Promise<AppendOutcome> {
    // In a transaction of the caller's, everything happens there.
    if (this.backend.inTransaction) return (await this.send([request]))[0]!;
    // A handler is the user's code, which belongs into the caller's async context.
    if (this.interested(request).some(({ plan }) => plan === undefined)) {
      return this.again(async () => (await this.send([request]))[0]!);
    }
    return this.coalescer.run(request);
  }

  close(): Promise<void> {
    return this.coalescer.close();
  }

  private async send(requests: readonly AppendRequest[]): Promise<readonly AppendOutcome[]> {
    const projections = this.projections.filter((projection) =>
      requests.some((request) => this.isInterested(projection, request)),
    );
    if (projections.length === 0) return this.backend.append(requests);
    return appendAndProject(this, requests, projections);
  }

  private interested(request: AppendRequest): readonly Projection[] {
    return this.projections.filter((projection) => this.isInterested(projection, request));
  }

  private isInterested(projection: Projection, { messages }: AppendRequest): boolean {
    const types = storedTypesOf(projection, this.decoder.isUpcast);
    return types === undefined || messages.some(({ type }) => types.includes(type));
  }

  /** Deadlocks with writers of other kinds took no effect. */
  private async again<R>(fn: () => Promise<R>): Promise<R> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await fn();
      } catch (error) {
        if (attempt === ATTEMPTS || !this.isTransient(error)) throw error;
      }
    }
  }

  private isTransient(error: unknown): boolean {
    return this.backend.isTransient(error instanceof ProjectionFailedError ? error.cause : error);
  }

  private isDataError(error: unknown): boolean {
    return (
      error instanceof ProjectionFailedError ||
      error instanceof PartitionNotFoundError ||
      this.backend.isDataError(error)
    );
  }
}
