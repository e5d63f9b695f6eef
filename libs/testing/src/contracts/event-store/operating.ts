/// <reference types="jest" />
import type { EventStore, ReactorContext } from '@nestbox/event-store';
import { eventually } from '../../eventually.js';
import { running } from './consuming.js';
import {
  added,
  addedUpTo,
  positionsOf,
  removed,
  unique,
  valuesIn,
  type Change,
  type EventStoreSuite,
} from './subject.js';

const QUICK = { attempts: 3, base: 1, max: 2 };

/** A consumer with a reactor that keeps what it sees, and fails for some numbers. */
function reactorOn(store: EventStore, partition: string, processorId: string, options: object = {}) {
  const seen: number[] = [];
  const failing = new Set<number>();
  const consumer = store.consumer({ partition });
  const processor = consumer.reactor<Change>({
    processorId,
    retry: QUICK,
    eachMessage: ({ data }) => {
      if (failing.has(data.n)) throw new Error(`cannot stand ${data.n}`);
      seen.push(data.n);
    },
    ...options,
  });
  return { consumer, processor, seen, failing };
}

export function operating(suite: EventStoreSuite): void {
  describe('processors', () => {
    it('are listed with how far they are', async () => {
      const { store, elsewhere, partition } = await suite.tenant();
      const processorId = unique('reactor');
      const { consumer } = reactorOn(store, partition, processorId);
      expect(await store.processors.get(processorId, { partition })).toBeUndefined();
      const { lastEventGlobalPosition } = await store.appendToStream('cart-1', addedUpTo(3), { partition });
      await running(consumer, () => consumer.whenCaughtUp());
      const expected = {
        processorId,
        partition,
        status: 'active',
        shards: 1,
        lag: 0n,
        lagMs: 0,
        parked: 0,
        error: undefined,
        updatedAt: expect.any(Date) as Date,
      };
      const other = await elsewhere();
      const info = await other.processors.get(processorId, { partition });
      expect(info).toMatchObject(expected);
      expect(info!.position).toBeGreaterThanOrEqual(lastEventGlobalPosition);
      expect(await other.processors.list()).toContainEqual(expect.objectContaining(expected));
      await store.appendToStream('cart-1', addedUpTo(2), { partition });
      const behind = await other.processors.get(processorId, { partition });
      expect(behind!.lag).toBeGreaterThanOrEqual(2n);
      expect(behind!.lagMs).toBeGreaterThanOrEqual(0);
    });

    it('stand still while they are paused, and go on when resumed', async () => {
      const { store, elsewhere, partition } = await suite.tenant();
      const admin = (await elsewhere()).processors;
      const processorId = unique('reactor');
      const { consumer, seen } = reactorOn(store, partition, processorId);
      const witness: number[] = [];
      consumer.reactor<Change>({
        processorId: unique('witness'),
        eachMessage: ({ data }) => void witness.push(data.n),
      });
      await running(consumer, async () => {
        await store.appendToStream('cart-1', [added(1)], { partition });
        await consumer.whenCaughtUp();
        await admin.pause(processorId, { partition });
        expect(await admin.get(processorId, { partition })).toMatchObject({ status: 'paused' });
        await store.appendToStream('cart-1', [added(2), added(3)], { partition });
        await eventually(() => expect(witness).toEqual([1, 2, 3]));
        expect(seen).toEqual([1]);
        await admin.resume(processorId, { partition });
        await eventually(() => expect(seen).toEqual([1, 2, 3]));
        expect(await admin.get(processorId, { partition })).toMatchObject({ status: 'active' });
      });
    });

    it('begin anew, or elsewhere, when they are reset', async () => {
      const { store, elsewhere, partition } = await suite.tenant();
      const admin = (await elsewhere()).processors;
      await store.appendToStream('cart-1', addedUpTo(3), { partition });
      const [, second] = positionsOf((await store.readAll({ partition })).events);
      const processorId = unique('reactor');
      const { consumer, seen } = reactorOn(store, partition, processorId);
      await running(consumer, async () => {
        await consumer.whenCaughtUp();
        await admin.reset(processorId, { position: 'BEGINNING', partition });
        await eventually(() => expect(seen).toEqual([1, 2, 3, 1, 2, 3]));
        await admin.reset(processorId, { position: { position: second! }, partition });
        await eventually(() => expect(seen).toEqual([1, 2, 3, 1, 2, 3, 3]));
        await consumer.whenCaughtUp();
        await admin.reset(processorId, { position: 'END', partition });
        await store.appendToStream('cart-1', [added(4)], { partition });
        await eventually(() => expect(seen).toEqual([1, 2, 3, 1, 2, 3, 3, 4]));
      });
    });

    it('are forgotten when they are removed', async () => {
      const { store, partition } = await suite.tenant();
      const processorId = unique('reactor');
      await store.appendToStream('cart-1', addedUpTo(2), { partition });
      const first = reactorOn(store, partition, processorId);
      await running(first.consumer, () => first.consumer.whenCaughtUp());
      await store.processors.remove(processorId, { partition });
      expect(await store.processors.get(processorId, { partition })).toBeUndefined();
      const second = reactorOn(store, partition, processorId);
      await running(second.consumer, () => second.consumer.whenCaughtUp());
      expect(second.seen).toEqual([1, 2]);
    });

    it('that are not there cannot be operated', async () => {
      const { store, partition } = await suite.tenant();
      const missing = { code: 'NOT_FOUND', what: 'processor', id: 'none' };
      const { processors } = store;
      await expect(processors.pause('none', { partition })).rejects.toMatchObject(missing);
      await expect(processors.resume('none', { partition })).rejects.toMatchObject(missing);
      await expect(processors.reset('none', { partition })).rejects.toMatchObject(missing);
    });

    it('try again what fails, and tell the handler which attempt it is', async () => {
      const { store, partition } = await suite.tenant();
      const processorId = unique('reactor');
      const attempts: [number, number][] = [];
      const { consumer } = reactorOn(store, partition, processorId, {
        eachMessage: ({ data }: Change, { attempt, processorId: id }: ReactorContext) => {
          expect(id).toBe(processorId);
          attempts.push([data.n, attempt]);
          if (data.n === 2 && attempt < 3) throw new Error('not yet');
        },
      });
      await store.appendToStream('cart-1', addedUpTo(3), { partition });
      await running(consumer, () => consumer.whenCaughtUp());
      expect(attempts).toEqual([
        [1, 1],
        [2, 1],
        [2, 2],
        [2, 3],
        [3, 1],
      ]);
      expect(await store.processors.parked(processorId, { partition })).toEqual([]);
    });

    it('undo what a failed attempt wrote, where handlers are transactional', async () => {
      const { store, partition } = await suite.tenant();
      const attempts: number[] = [];
      const { consumer } = reactorOn(store, partition, unique('reactor'), {
        transactional: true,
        canHandle: ['Added'],
        eachMessage: async ({ data }: Change, { attempt }: ReactorContext) => {
          attempts.push(data.n);
          await store.appendToStream('echo-1', [removed(data.n)], { partition });
          if (data.n === 2 && attempt < 3) throw new Error('not yet');
        },
      });
      await store.appendToStream('cart-1', addedUpTo(3), { partition });
      await running(consumer, () => consumer.whenCaughtUp());
      expect(attempts.filter((n) => n === 2).length).toBeGreaterThanOrEqual(3);
      expect(await valuesIn(store, 'echo-1', partition)).toEqual([1, 2, 3]);
    });

    it('handle a parked event once more when that is asked for while they try', async () => {
      const { store, partition } = await suite.tenant();
      const processorId = unique('reactor');
      const started: ((fail: boolean) => void)[] = [];
      const consumer = store.consumer({ partition });
      consumer.reactor<Change>({
        processorId,
        retry: { ...QUICK, attempts: 1 },
        eachMessage: async () => {
          if (await new Promise<boolean>((resolve) => started.push(resolve))) throw new Error('not yet');
        },
      });
      await store.appendToStream('cart-1', addedUpTo(1), { partition });
      const attempt = async (n: number): Promise<(fail: boolean) => void> => {
        await eventually(() => expect(started).toHaveLength(n));
        return started[n - 1]!;
      };
      await running(consumer, async () => {
        (await attempt(1))(true);
        await eventually(async () =>
          expect(await store.processors.replay(processorId, undefined, { partition })).toBe(1),
        );
        const second = await attempt(2);
        expect(await store.processors.replay(processorId, undefined, { partition })).toBe(1);
        second(true);
        (await attempt(3))(false);
        await eventually(async () =>
          expect(await store.processors.parked(processorId, { partition })).toEqual([]),
        );
      });
    });

    it('park what keeps failing and go on, and handle it again when asked', async () => {
      const { store, elsewhere, partition } = await suite.tenant();
      const admin = (await elsewhere()).processors;
      const processorId = unique('reactor');
      const { consumer, seen, failing } = reactorOn(store, partition, processorId);
      for (const n of [2, 4]) failing.add(n);
      await store.appendToStream('cart-1', addedUpTo(5), { partition });
      const positions = positionsOf((await store.readAll({ partition })).events);
      await running(consumer, async () => {
        await consumer.whenCaughtUp();
        expect(seen).toEqual([1, 3, 5]);
        const parked = await admin.parked(processorId, { partition });
        expect(parked).toMatchObject([
          {
            event: { data: { n: 2 } },
            attempts: 3,
            error: expect.stringContaining('cannot stand 2') as string,
          },
          {
            event: { data: { n: 4 } },
            attempts: 3,
            error: expect.stringContaining('cannot stand 4') as string,
          },
        ]);
        expect(await admin.parked(processorId, { partition, limit: 1 })).toHaveLength(1);
        expect(await admin.parked(processorId, { partition, after: positions[1]! })).toHaveLength(1);
        expect(await admin.get(processorId, { partition })).toMatchObject({
          parked: 2,
          status: 'active',
          lag: 0n,
        });

        failing.delete(2);
        expect(await admin.replay(processorId, undefined, { partition })).toBe(2);
        await eventually(() => expect(seen).toEqual([1, 3, 5, 2]));
        await eventually(async () =>
          expect(await admin.get(processorId, { partition })).toMatchObject({ parked: 1 }),
        );
        failing.delete(4);
        expect(await admin.replay(processorId, [positions[0]!, positions[3]!], { partition })).toBe(1);
        await eventually(() => expect(seen).toEqual([1, 3, 5, 2, 4]));
        await eventually(async () => expect(await admin.parked(processorId, { partition })).toEqual([]));
      });
    });

    it('forget what was parked when it is dropped', async () => {
      const { store, partition } = await suite.tenant();
      const processorId = unique('reactor');
      const { consumer, seen, failing } = reactorOn(store, partition, processorId);
      for (const n of [1, 2, 3]) failing.add(n);
      await store.appendToStream('cart-1', addedUpTo(3), { partition });
      await running(consumer, () => consumer.whenCaughtUp());
      const positions = positionsOf((await store.readAll({ partition })).events);
      const { processors } = store;
      expect(await processors.drop(processorId, [positions[1]!], { partition })).toBe(1);
      expect(await processors.parked(processorId, { partition })).toHaveLength(2);
      expect(await processors.drop(processorId, undefined, { partition })).toBe(2);
      expect(await processors.parked(processorId, { partition })).toEqual([]);
      expect(await processors.replay(processorId, undefined, { partition })).toBe(0);
      expect(seen).toEqual([]);
    });

    it('fail where nothing may be left out, say why, and go on when resumed', async () => {
      const { store, partition } = await suite.tenant();
      const processorId = unique('reactor');
      const { consumer, seen, failing } = reactorOn(store, partition, processorId, { deadLetter: false });
      failing.add(2);
      await store.appendToStream('cart-1', addedUpTo(3), { partition });
      await running(consumer, async () => {
        await eventually(async () => {
          const info = await store.processors.get(processorId, { partition });
          expect(info).toMatchObject({
            status: 'failed',
            error: expect.stringContaining('cannot stand 2') as string,
          });
        });
        expect(seen).toEqual([1]);
        await expect(consumer.whenCaughtUp()).rejects.toMatchObject({
          code: 'PROCESSOR_FAILED',
          processorId,
        });
        failing.clear();
        await store.processors.resume(processorId, { partition });
        await eventually(() => expect(seen).toEqual([1, 2, 3]));
      });
      expect(await store.processors.get(processorId, { partition })).toMatchObject({
        status: 'active',
        error: undefined,
      });
    });
  });
}
