import { InvalidArgumentError } from '@nestbox/core';
import type { EventStoreBackend } from '../event-store.backend.js';
import { DEFAULT_PARTITION } from '../event.types.js';
import { checkPartition } from '../support/arguments.js';
import { operation } from '../support/operation.js';

/** Tenants: each has streams, snapshots, checkpoints and documents of its own, in tables of its own. */
export class Partitions {
  /** @internal Made by `EventStore`. */
  constructor(
    private readonly backend: EventStoreBackend,
    private readonly ready: () => Promise<void>,
  ) {}

  /** @returns false when it is there already */
  async create(partition: string): Promise<boolean> {
    const name = checkPartition(required(partition));
    return this.run(`create partition "${name}"`, () => this.backend.createPartition(name));
  }

  /** All partitions, `emt:default` included, in the order of their names. */
  list(): Promise<string[]> {
    return this.run('list the partitions', () => this.backend.listPartitions());
  }

  /**
   * Deletes all that a partition holds, in one statement and for good.
   *
   * @returns false when there is no such partition
   */
  async drop(partition: string): Promise<boolean> {
    const name = checkPartition(required(partition));
    if (name === DEFAULT_PARTITION) {
      throw new InvalidArgumentError('partition', 'the default partition cannot be dropped.');
    }
    return this.run(`drop partition "${name}"`, () => this.backend.dropPartition(name));
  }

  private run<R>(name: string, fn: () => Promise<R>): Promise<R> {
    return operation(name, async () => {
      await this.ready();
      return fn();
    });
  }
}

/** Here, no name does not mean the default partition. */
function required(partition: unknown): unknown {
  if (partition === undefined)
    throw new InvalidArgumentError('partition', 'must be a string, not undefined.');
  return partition;
}
