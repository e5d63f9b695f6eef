import { KeyValueStore } from '@nestbox/kv';
import { Injectable } from '@nestjs/common';
import { keyReused } from './idempotency-key.js';

/** How long a client may come back with the same key. */
const REMEMBERED_FOR = '24h';

const NAMESPACE = 'idempotency';

/** An answer as it goes over the wire, so that it can be given again to the letter. */
export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/** The answer to a request, and whether it was given before. */
export interface Remembered extends Answer {
  replayed: boolean;
}

interface IdempotencyRecord extends Answer {
  /** Of the request that was answered. */
  fingerprint: string;
}

/** The answers that were given under each `Idempotency-Key`. */
@Injectable()
export class IdempotentAnswers {
  private readonly records: KeyValueStore<IdempotencyRecord>;

  constructor(store: KeyValueStore) {
    this.records = store.namespace<IdempotencyRecord>(NAMESPACE);
  }

  /**
   * The answer given under the key before.
   *
   * @throws ProblemError with 422 when it was the answer to another request
   */
  async find(key: string, fingerprint: string): Promise<Answer | undefined> {
    const record = await this.records.get(key);
    if (record === undefined) return undefined;
    if (record.fingerprint !== fingerprint) throw keyReused();
    return { status: record.status, headers: record.headers, body: record.body };
  }

  /**
   * Remembers the first answer under a key. Joins the transaction it is called in.
   *
   * @throws VersionConflictError when there is one
   */
  async remember(key: string, fingerprint: string, answer: Answer): Promise<void> {
    await this.records.set(key, { fingerprint, ...answer }, { ifVersion: 'absent', ttl: REMEMBERED_FOR });
  }
}
