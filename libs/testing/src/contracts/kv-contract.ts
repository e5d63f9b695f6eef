/// <reference types="jest" />
import { atomic } from './kv/atomic.js';
import { computing } from './kv/computing.js';
import { counters } from './kv/counters.js';
import { expiry } from './kv/expiry.js';
import { keys } from './kv/keys.js';
import { leases } from './kv/leases.js';
import { lifecycle } from './kv/lifecycle.js';
import { listing } from './kv/listing.js';
import { many } from './kv/many.js';
import { modelled } from './kv/model.js';
import { namespaces } from './kv/namespaces.js';
import { KvSuite, type KvContractOptions } from './kv/subject.js';
import { transactions } from './kv/transactions.js';
import { transfer } from './kv/transfer.js';
import { updates } from './kv/updates.js';
import { values } from './kv/values.js';
import { versions } from './kv/versions.js';
import { watching } from './kv/watching.js';

const PARTS = [
  values,
  keys,
  versions,
  expiry,
  counters,
  updates,
  many,
  atomic,
  listing,
  watching,
  leases,
  computing,
  namespaces,
  transfer,
  transactions,
  lifecycle,
  modelled,
];

/**
 * Defines the tests that every adapter of the key-value store has to pass, on its own and below `KeyValueStore`.
 * Call it at the top of a Jest (or Vitest, with globals) test file.
 */
export function kvContract(name: string, options: KvContractOptions): void {
  describe(name, () => {
    const suite = new KvSuite(options);
    afterAll(() => suite.close());
    for (const part of PARTS) part(suite);
  });
}
