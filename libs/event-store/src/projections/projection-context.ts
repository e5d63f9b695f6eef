import { InvalidArgumentError, type JsonObject } from '@nestbox/core';
import type { Codec } from '../codec/codec.js';
import { TransactionCollection } from '../documents/transaction-collection.js';
import type { WritableCollection } from '../documents/writable-collection.js';
import type { EventStoreBackend } from '../event-store.backend.js';
import type { Document, Projection, ProjectionContext } from './projection.types.js';

/** Where a projection writes: what everybody reads, or what a rebuild fills in its place. */
export type Target = 'current' | 'shadow';

/** What a handler works with, inside the ambient transaction. */
export class TransactionContext implements ProjectionContext {
  readonly rebuilding: boolean;
  readonly execute = {
    query: (text: string, params?: readonly unknown[]) => this.query(text, params),
    command: async (text: string, params?: readonly unknown[]): Promise<void> => {
      await this.query(text, params);
    },
  };
  private readonly collections = new Map<string, WritableCollection<Document>>();

  constructor(
    private readonly backend: EventStoreBackend,
    private readonly codec: Codec | undefined,
    private readonly projection: Projection,
    readonly partition: string,
    target: Target,
  ) {
    this.rebuilding = target === 'shadow';
  }

  /** Bound, as the other methods are, since handlers like to take a context apart. */
  readonly query = (text: string, params?: readonly unknown[]): Promise<Record<string, unknown>[]> =>
    this.backend.run(text, params);

  readonly table = (name: string): string => {
    const { tables = [] } = this.projection;
    if (!tables.includes(name)) throw this.undeclared('table', 'tables', name);
    return this.backend.documents.quoted(this.physical(name));
  };

  readonly collection = <T extends Document = JsonObject>(name: string): WritableCollection<T> => {
    const { collections = [] } = this.projection;
    if (!collections.some((collection) => collection.name === name)) {
      throw this.undeclared('collection', 'collections', name);
    }
    let collection = this.collections.get(name);
    if (collection === undefined) {
      collection = new TransactionCollection<Document>(
        this.backend.documents,
        this.physical(name),
        this.partition,
        this.codec,
      );
      this.collections.set(name, collection);
    }
    return collection as WritableCollection<T>;
  };

  private physical(name: string): string {
    return this.rebuilding ? this.backend.documents.shadowName(name) : name;
  }

  private undeclared(what: string, option: string, name: string): InvalidArgumentError {
    return new InvalidArgumentError(
      what,
      `"${name}" is not declared by projection "${this.projection.name}". Add it to its option ${option}.`,
    );
  }
}
