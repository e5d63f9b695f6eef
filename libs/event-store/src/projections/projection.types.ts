import type { Event, ReadEvent, Upcast } from '../event.types.js';
import type { CollectionSchema } from '../documents/document.backend.js';
import type { WritableCollection } from '../documents/writable-collection.js';

/** `inline`: in the transaction of the append. `async`: by a consumer, in the transaction of its checkpoint. */
export type ProjectionMode = 'inline' | 'async';

/** A JSON object that a projection makes. `_id` is added when it is read. */
export type Document = object;

/** What the handler of a projection works with. All of it happens in one transaction. */
export interface ProjectionContext {
  /** The partition of the events. */
  readonly partition: string;
  /** Runs a statement in the transaction; `$1`, `$2`… stand for the parameters. */
  query(text: string, params?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  /** {@link query} under two names. */
  readonly execute: {
    query(text: string, params?: readonly unknown[]): Promise<Record<string, unknown>[]>;
    command(text: string, params?: readonly unknown[]): Promise<void>;
  };
  /** The quoted name of one of the projection's `tables`; during a rebuild that of the new one. */
  table(name: string): string;
  /** One of the projection's `collections`, to write to; during a rebuild the new one. */
  collection<T extends Document = Document>(name: string): WritableCollection<T>;
  /** Whether this fills a new version of the projection from the log. */
  readonly rebuilding: boolean;
}

/** Turns events into something to read. Made by one of the five helpers, or by hand. */
export interface Projection<E extends Event = Event> {
  readonly name: string;
  /** The types of the events that it gets. Default: all. */
  readonly canHandle?: readonly E['type'][] | undefined;
  /** Gets the events of one transaction and one partition, in order. */
  handle(events: readonly ReadEvent<E>[], context: ProjectionContext): Promise<void> | void;
  /** Creates what it needs, when the store starts and before a rebuild. Called often, so `create … if not exists`. */
  init?(context: ProjectionContext): Promise<void> | void;
  /** Empties what it has made, for a rebuild in place. */
  truncate?(context: ProjectionContext): Promise<void> | void;
  /** The collections that it writes. */
  readonly collections?: readonly CollectionSchema[] | undefined;
  /** The tables, in the store's schema, that `init` creates under `context.table(name)`. */
  readonly tables?: readonly string[] | undefined;
  /** How events look today; applied before `handle`. */
  readonly upcast?: Upcast | undefined;
  /** @internal Projections of documents need no handler, and go together in batches. */
  readonly plan?: DocumentPlan | undefined;
}

/** @internal How a projection turns events into documents. */
export interface DocumentPlan {
  readonly collection: CollectionSchema;
  /** Whether each stream has its document, of the stream's name, which nothing else changes. */
  readonly isByStream: boolean;
  /** The documents that an event changes; none to skip it. */
  idsOf(event: ReadEvent): readonly string[];
  /** The document after the event; null deletes it. */
  evolve(document: Document | null, event: ReadEvent): Document | null | Promise<Document | null>;
}

/** A projection with its mode; without one it is inline where a store is created. */
export type ProjectionRegistration =
  Projection | { readonly type: ProjectionMode; readonly projection: Projection };
