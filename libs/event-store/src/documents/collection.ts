import { InvalidArgumentError, assertName } from '@nestbox/core';
import type { Codec } from '../codec/codec.js';
import { operation } from '../support/operation.js';
import { checkPartition } from '../support/arguments.js';
import { assertCollectionName } from './collection-name.js';
import { encodeCursor } from './cursor.js';
import type { DocumentBackend, StoredDocument } from './document.backend.js';
import { toDocument, type DocumentFields } from './document-codec.js';
import type { DocumentQuery } from './document-query.js';
import { parseFilter, type DocumentFilter, type FindOptions } from './filter.js';
import { sortKeyOf } from './match.js';

/** A document as it is read. */
export type ReadDocument<T extends object> = T & DocumentFields;

/** Documents, and where to go on; it is equal to a plain array of the same documents. */
export interface DocumentPage<T> extends Array<T> {
  /** Pass it to the next `find`; undefined at the end. Not enumerable. */
  readonly cursor: string | undefined;
}

/** Documents that `all` reads at once. */
const BATCH = 500;

/** Reads the documents that a projection makes. Joins the ambient transaction where there is one. */
export class Collection<T extends object = Record<string, unknown>> {
  /**
   * @param name of the collection
   * @param ready awaited before each read
   */
  constructor(
    private readonly backend: DocumentBackend,
    readonly name: string,
    readonly partition: string,
    private readonly codec: Codec | undefined,
    private readonly ready?: () => Promise<void> | undefined,
  ) {
    assertCollectionName(name, 'name');
    checkPartition(partition);
  }

  /** The same collection in another partition. */
  in(partition: string): Collection<T> {
    return new Collection(this.backend, this.name, partition, this.codec, this.ready);
  }

  /** @throws InvalidArgumentError; NotFoundError when no projection has made the collection; EventStoreOperationError */
  async get(id: string): Promise<ReadDocument<T> | undefined> {
    assertName(id, 'id');
    return this.read('get a document of', async () => {
      const [stored] = await this.backend.getMany(this.name, [{ partition: this.partition, id }]);
      return stored && this.document(stored);
    });
  }

  /** In the order of the ids. */
  async getMany(ids: readonly string[]): Promise<(ReadDocument<T> | undefined)[]> {
    const keys = checkIds(ids).map((id) => ({ partition: this.partition, id }));
    if (keys.length === 0) return [];
    return this.read('get documents of', async () => {
      const found = await this.backend.getMany(this.name, keys);
      return found.map((stored) => stored && this.document(stored));
    });
  }

  /** The documents that match, or all; without a `limit` they are all read at once (see {@link all}). */
  async find(filter?: DocumentFilter<T>, options?: FindOptions<T>): Promise<DocumentPage<ReadDocument<T>>> {
    return this.page(parseFilter(filter, options, this.codec));
  }

  /** The first document that matches. */
  async findOne(
    filter?: DocumentFilter<T>,
    options: Pick<FindOptions<T>, 'sort'> = {},
  ): Promise<ReadDocument<T> | undefined> {
    const query = parseFilter(filter, { sort: options.sort }, this.codec);
    const [stored] = await this.read('find in', () =>
      this.backend.find(this.name, this.partition, { ...query, limit: 1 }),
    );
    return stored && this.document(stored);
  }

  async count(filter?: DocumentFilter<T>): Promise<number> {
    const query = parseFilter(filter, {}, this.codec);
    return this.read('count', () => this.backend.count(this.name, this.partition, query));
  }

  /** All documents that match, in constant memory, page by page: what changes meanwhile may or may not be seen. */
  all(
    filter?: DocumentFilter<T>,
    options: Pick<FindOptions<T>, 'sort'> = {},
  ): AsyncIterable<ReadDocument<T>> {
    const query = parseFilter(filter, { sort: options.sort, limit: BATCH }, this.codec);
    return this.pages(query);
  }

  private async *pages(query: DocumentQuery): AsyncGenerator<ReadDocument<T>, void, undefined> {
    let after: DocumentQuery['after'];
    do {
      const { stored, next } = await this.slice({ ...query, after });
      for (const each of stored) yield this.document(each);
      after = next;
    } while (after !== undefined);
  }

  private async page(query: DocumentQuery): Promise<DocumentPage<ReadDocument<T>>> {
    const { stored, next } = await this.slice(query);
    const documents = stored.map((each) => this.document(each));
    const cursor = next === undefined ? undefined : encodeCursor(next, query.sort);
    return Object.defineProperty(documents, 'cursor', { value: cursor }) as DocumentPage<ReadDocument<T>>;
  }

  private async slice(
    query: DocumentQuery,
  ): Promise<{ stored: readonly StoredDocument[]; next: DocumentQuery['after'] }> {
    const { limit } = query;
    // One more tells whether there are more.
    const found = await this.read('find in', () =>
      this.backend.find(this.name, this.partition, {
        ...query,
        limit: limit === undefined ? undefined : limit + 1,
      }),
    );
    if (limit === undefined || found.length <= limit) return { stored: found, next: undefined };
    const stored = found.slice(0, limit);
    return { stored, next: sortKeyOf(stored.at(-1)!, query) };
  }

  private document(stored: StoredDocument): ReadDocument<T> {
    return toDocument<T>(stored, this.codec);
  }

  private read<R>(what: string, fn: () => Promise<R>): Promise<R> {
    return operation(`${what} collection "${this.name}"`, async () => {
      await this.ready?.();
      return fn();
    });
  }
}

/** @throws InvalidArgumentError unless it is an array of ids */
export function checkIds(ids: unknown): readonly string[] {
  if (!Array.isArray(ids)) throw new InvalidArgumentError('ids', 'must be an array.');
  ids.forEach((id, i) => assertName(id, `ids[${i}]`));
  return ids as string[];
}
