import { InvalidArgumentError, assertName } from '@nestbox/core';
import type { Codec } from '../codec/codec.js';
import { checkIds } from './collection.js';
import type { DocumentBackend, DocumentKey } from './document.backend.js';
import { toData, toDocument } from './document-codec.js';
import type { WritableCollection } from './writable-collection.js';

/** A collection, or the table that a rebuild fills in its place, inside the transaction of a projection. */
export class TransactionCollection<T extends object> implements WritableCollection<T> {
  /** What this transaction holds already. */
  private readonly locked = new Set<string>();

  /** @param table the physical one */
  constructor(
    private readonly backend: DocumentBackend,
    private readonly table: string,
    private readonly partition: string,
    private readonly codec: Codec | undefined,
  ) {}

  async get(id: string): Promise<T | undefined> {
    assertName(id, 'id');
    const [document] = await this.lock([id]);
    return document;
  }

  async getMany(ids: readonly string[]): Promise<(T | undefined)[]> {
    return this.lock([...checkIds(ids)]);
  }

  async set(id: string, document: T): Promise<void> {
    assertName(id, 'id');
    const data = toData(document, this.codec);
    const key = await this.hold(id);
    await this.backend.write(this.table, [{ ...key, data }]);
  }

  async delete(id: string): Promise<void> {
    assertName(id, 'id');
    const key = await this.hold(id);
    await this.backend.write(this.table, [{ ...key, data: null }]);
  }

  async update(id: string, fn: (document: T | null) => T | null | Promise<T | null>): Promise<T | null> {
    const before = (await this.get(id)) ?? null;
    const wasThere = before !== null;
    const after = await fn(before);
    if (after === undefined) {
      throw new InvalidArgumentError('document', 'is undefined; return the document, or null to delete it.');
    }
    if (after !== null) await this.set(id, after);
    else if (wasThere) await this.delete(id);
    return after;
  }

  private async hold(id: string): Promise<DocumentKey> {
    const key = { partition: this.partition, id };
    if (!this.locked.has(id)) {
      await this.backend.lock(this.table, [key]);
      this.locked.add(id);
    }
    return key;
  }

  private async lock(ids: readonly string[]): Promise<(T | undefined)[]> {
    if (ids.length === 0) return [];
    const found = await this.backend.lock(
      this.table,
      ids.map((id) => ({ partition: this.partition, id })),
    );
    for (const id of ids) this.locked.add(id);
    return found.map((stored) => stored && toDocument<T>(stored, this.codec));
  }
}
