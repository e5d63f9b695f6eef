import { InvalidArgumentError, assertName } from '@nestbox/core';
import { SetMetadata } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { ProcessorOptions } from './consumers/consumer.types.js';
import type { Event, ReadEvent, Upcast } from './event.types.js';
import type {
  Document,
  Projection as ProjectionDefinition,
  ProjectionContext,
} from './projections/projection.types.js';

const PROJECTION = 'nestbox:projection';

/**
 * A projection whose documents are made event by event. Without `getDocumentId` and `getDocumentIds` there is one
 * document for each stream, of the stream's name.
 */
export interface DocumentProjection<Doc extends Document = Document, Events extends Event = Event> {
  /** The document after the event; null deletes it. It gets null, or the initial state, where there is none yet. */
  evolve(document: Doc | null, event: ReadEvent<Events>): Doc | null | Promise<Doc | null>;
  /** The document that an event changes; null for none. */
  getDocumentId?(event: ReadEvent<Events>): string | null;
  /** The documents that an event changes; instead of `getDocumentId`. */
  getDocumentIds?(event: ReadEvent<Events>): readonly string[];
  /** What a document begins with. */
  initialState?(): Doc;
}

/** A projection that does as it likes, in one transaction with its checkpoint or with the append. */
export interface ProjectionHandler<Events extends Event = Event> {
  /** Gets the events of one transaction and one partition, in order. */
  handle(events: readonly ReadEvent<Events>[], context: ProjectionContext): Promise<void> | void;
  /** Creates what it needs, when the store starts and before a rebuild. Called often, so `create … if not exists`. */
  init?(context: ProjectionContext): Promise<void> | void;
  /** Empties what it has made, for a rebuild in place. */
  truncate?(context: ProjectionContext): Promise<void> | void;
}

interface ProjectionBaseOptions {
  /** Tells the projections of a store apart; the checkpoint of an async one has this name. */
  name: string;
  /** The types of the events that it gets. Default: all. */
  events?: readonly string[];
  /** The collection that it writes. Default: for documents, the projection's name; for a handler, none. */
  collection?: string;
  /** Paths in the documents such as `status` or `customer.city` that get an index of their own. */
  indexes?: readonly string[];
  /** Whether any containment is indexed (GIN). Default: false. */
  indexAll?: boolean;
  /** The tables, in the store's schema, that a handler's `init` creates under `context.table(name)`. */
  tables?: readonly string[];
  /** Raise it to have documents made under a new name. */
  version?: number;
  /** How events look today; after the store's own. */
  upcast?: Upcast;
  /** The name of the store, for a named one. */
  store?: string;
}

/** For a projection in the transaction of each append. */
export interface InlineProjectionOptions extends ProjectionBaseOptions {
  mode: 'inline';
}

/** For a projection by a consumer, behind the appends. */
export interface AsyncProjectionOptions extends ProjectionBaseOptions, Omit<ProcessorOptions, 'upcast'> {
  /** `inline`: in the transaction of each append. Default: `async`, by a consumer. */
  mode?: 'async';
}

/** Options of `@Projection`: of one that runs in the append, or behind it. */
export type ProjectionDecoratorOptions = InlineProjectionOptions | AsyncProjectionOptions;

/** What only a consumer can do something with. */
const CONSUMER_OPTIONS = ['startFrom', 'batchSize', 'lease', 'parallelism', 'retry', 'deadLetter'] as const;

/** What `forRoot({ projections })` takes; the decorator of the same name makes one of a provider. */
export type Projection<E extends Event = Event> = ProjectionDefinition<E>;

/**
 * Makes a provider a projection of the event store: its class implements {@link DocumentProjection} (`evolve`) or
 * {@link ProjectionHandler} (`handle`).
 *
 * @throws InvalidArgumentError
 */
export function Projection(options: ProjectionDecoratorOptions): ClassDecorator {
  assertName(options.name, 'name');
  assertMode(options);
  return (target) => {
    if (Reflect.hasOwnMetadata(PROJECTION, target)) {
      throw new InvalidArgumentError('@Projection', `${target.name} has it twice; write a class for each.`);
    }
    SetMetadata<string, ProjectionDecoratorOptions>(PROJECTION, options)(target);
  };
}

/** What a class was decorated with, itself or by a class that it extends. */
export function projectionOptionsOf(type: () => unknown): ProjectionDecoratorOptions | undefined {
  return new Reflector().get<ProjectionDecoratorOptions | undefined>(PROJECTION, type);
}

function assertMode(options: ProjectionDecoratorOptions): void {
  const { mode } = options;
  if (mode !== undefined && mode !== 'inline' && mode !== 'async') {
    throw new InvalidArgumentError('mode', "must be 'inline' or 'async'.");
  }
  if (mode !== 'inline') return;
  const useless = CONSUMER_OPTIONS.find((option) => Reflect.get(options, option) !== undefined);
  if (useless === undefined) return;
  throw new InvalidArgumentError(
    useless,
    `belongs to a consumer, and projection "${options.name}" runs in the transaction of the append. Leave it out, or set mode: 'async'.`,
  );
}
