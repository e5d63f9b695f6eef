import type { JsonValue } from '@nestbox/core';
import { type Change, KeyValueStore } from '@nestbox/kv';
import { Injectable } from '@nestjs/common';
import { deleteEntry, putEntry } from '../http/conditional.js';
import type { Preconditions } from '../http/entity-tag.js';

const NAMESPACE = 'settings';

/** Named values that the shop's people change while it runs, such as a banner. */
@Injectable()
export class Settings {
  private readonly settings: KeyValueStore<JsonValue>;

  constructor(store: KeyValueStore) {
    this.settings = store.namespace<JsonValue>(NAMESPACE);
  }

  /** All of them, and a revision at which all of them held: whoever watches from there on misses nothing. */
  async all(): Promise<{ settings: Record<string, JsonValue>; revision: bigint }> {
    // In this order: a change in between is in the values too, and seen again by who watches, which does no harm.
    const revision = await this.settings.revision();
    return { settings: await this.settings.getAll(), revision };
  }

  /** @throws ProblemError with 412 when the conditions do not hold */
  put(name: string, value: JsonValue, conditions: Preconditions) {
    return putEntry(this.settings, name, value, conditions);
  }

  /** False when there is none. @throws ProblemError with 412 when the conditions do not hold */
  async delete(name: string, conditions: Preconditions): Promise<boolean> {
    return (await deleteEntry(this.settings, name, conditions)) !== undefined;
  }

  revision(): Promise<bigint> {
    return this.settings.revision();
  }

  /** Every change after a revision, in order, until the signal ends it. */
  changesAfter(revision: bigint, signal: AbortSignal): AsyncIterable<Change<JsonValue>> {
    return this.settings.watch({ prefix: '', fromRevision: revision + 1n, signal });
  }
}
