import { setTimeout as sleep } from 'node:timers/promises';
import { DEFAULT_PARTITION, ExpectedVersionConflictError, type EventStore } from '@nestbox/event-store';
import fc from 'fast-check';

/** One thing that a writer does; waits are in ms. */
export type Step =
  | { readonly kind: 'append'; readonly stream: number; readonly count: number }
  | { readonly kind: 'expecting'; readonly stream: number; readonly wait: number }
  /** Draws positions early and commits late. */
  | {
      readonly kind: 'session';
      readonly streams: readonly number[];
      readonly wait: number;
      readonly fails: boolean;
    }
  /** Has its transaction id long before its first position. */
  | { readonly kind: 'early'; readonly stream: number; readonly wait: number; readonly fails: boolean }
  /** Takes back a part of what it has written. */
  | {
      readonly kind: 'savepoint';
      readonly streams: readonly [number, number];
      readonly wait: number;
      readonly keepsFirst: boolean;
    };

const STREAMS = 6;
const stream = fc.nat(STREAMS - 1);
const wait = fc.nat(12);
const fails = fc.boolean();
// In one order, so that sessions do not wait for each other in a circle.
const streams = fc
  .uniqueArray(stream, { minLength: 2, maxLength: 4 })
  .map((list) => list.sort((a, b) => a - b));

export const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('append' as const), stream, count: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ kind: fc.constant('append' as const), stream, count: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ kind: fc.constant('expecting' as const), stream, wait }),
  fc.record({ kind: fc.constant('session' as const), streams, wait, fails }),
  fc.record({ kind: fc.constant('early' as const), stream, wait, fails }),
  fc.record({
    kind: fc.constant('savepoint' as const),
    streams: fc.constantFrom<[number, number]>([0, 1], [1, 3], [2, 5]),
    wait,
    keepsFirst: fc.boolean(),
  }),
);

class Undone extends Error {}

/** Writes what steps say, and knows what of it was committed. */
export class BusyWriter {
  private static events = 0;
  /** The global position of each event's append that was acknowledged, by its number. */
  readonly committed = new Map<number, bigint>();

  constructor(
    private readonly store: EventStore,
    private readonly partition = DEFAULT_PARTITION,
  ) {}

  async run(steps: readonly Step[]): Promise<void> {
    for (const each of steps) {
      const made = new Map<number, bigint>();
      try {
        await this.take(each, made);
      } catch (error) {
        if (error instanceof Undone || error instanceof ExpectedVersionConflictError) continue;
        throw error;
      }
      for (const [n, position] of made) this.committed.set(n, position);
    }
  }

  private async take(given: Step, made: Map<number, bigint>): Promise<void> {
    const { store } = this;
    switch (given.kind) {
      case 'append':
        return this.append(given.stream, given.count, made);
      case 'expecting': {
        const { currentStreamVersion } = await store.readStream(nameOf(given.stream), {
          partition: this.partition,
        });
        await sleep(given.wait);
        return this.append(given.stream, 1, made, currentStreamVersion);
      }
      case 'session':
        return store.withSession(async () => {
          for (const each of given.streams) {
            await this.append(each, 1, made);
            await sleep(given.wait);
          }
          if (given.fails) throw new Undone();
        });
      case 'early':
        return store.withSession(async () => {
          await store.backend.run('select pg_current_xact_id()');
          await sleep(given.wait);
          await this.append(given.stream, 2, made);
          if (given.fails) throw new Undone();
        });
      case 'savepoint':
        return store.withSession(async () => {
          const [first, second] = given.streams;
          if (given.keepsFirst) await this.append(first, 1, made);
          const inVain = store.withSession(async () => {
            await this.append(second, 2, new Map());
            await sleep(given.wait);
            throw new Undone();
          });
          await inVain.catch((error: unknown) => {
            if (!(error instanceof Undone)) throw error;
          });
          // Others may have passed by while the lock was given back.
          await sleep(given.wait);
          await this.append(second, 1, made);
        });
    }
  }

  private async append(
    number: number,
    count: number,
    made: Map<number, bigint>,
    expectedStreamVersion?: bigint,
  ): Promise<void> {
    const numbers = Array.from({ length: count }, () => ++BusyWriter.events);
    const { lastEventGlobalPosition } = await this.store.appendToStream(
      nameOf(number),
      numbers.map((n) => ({ type: 'Written', data: { n } })),
      { partition: this.partition, ...(expectedStreamVersion !== undefined && { expectedStreamVersion }) },
    );
    for (const n of numbers) made.set(n, lastEventGlobalPosition);
  }
}

const nameOf = (number: number): string => `log-${number}`;
