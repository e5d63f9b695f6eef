import { AsyncLocalStorage } from 'node:async_hooks';
import fc from 'fast-check';
import { ClosedError, Coalescer, OverloadedError } from '@nestbox/core';

class DataError extends Error {}
class LostError extends Error {}

interface Item {
  id: number;
  key: string | undefined;
  size: number;
  bad: boolean;
}

type End = { result: string } | { error: unknown };

const limits = fc.record({
  maxItems: fc.integer({ min: 1, max: 6 }),
  maxBytes: fc.integer({ min: 1, max: 40 }),
  maxInFlight: fc.integer({ min: 1, max: 3 }),
  maxWaiting: fc.oneof(fc.constant(1000), fc.integer({ min: 1, max: 8 })),
});

const calls = fc.array(
  fc.record({
    key: fc.option(fc.constantFrom('a', 'b', 'c'), { nil: undefined }),
    size: fc.integer({ min: 0, max: 50 }),
    bad: fc.nat(5).map((n) => n === 0),
    /** Made in the same turn as the call before, or whenever the scheduler likes. */
    together: fc.boolean(),
  }),
  { maxLength: 30 },
);

/** Flushes as a database would, with failures and in an order of the scheduler's choosing, and watches the rules. */
class Backend {
  readonly applied: number[] = [];
  readonly broken: string[] = [];
  private readonly underWay = new Set<Item>();
  private readonly attempted: Item[] = [];
  private batches = 0;
  private attempts = 0;

  constructor(
    private readonly scheduler: fc.Scheduler,
    private readonly rules: { maxItems: number; maxBytes: number; maxInFlight: number },
    private readonly lost: readonly boolean[],
    private readonly context: AsyncLocalStorage<number>,
  ) {}

  readonly flush = async (items: Item[]): Promise<string[]> => {
    this.check(items);
    for (const item of items) this.underWay.add(item);
    const attempt = this.attempts++;
    this.batches++;
    try {
      await this.scheduler.schedule(Promise.resolve(), `flush ${items.map(({ id }) => id).join(',')}`);
      if (this.lost[attempt % Math.max(1, this.lost.length)]) throw new LostError();
      if (items.some(({ bad }) => bad)) throw new DataError();
      this.applied.push(...items.map(({ id }) => id));
      return items.map(({ id }) => `result ${id}`);
    } finally {
      this.batches--;
      for (const item of items) this.underWay.delete(item);
    }
  };

  /** The order in which the calls with a key were sent first. */
  orderOf(key: string): number[] {
    return [...new Set(this.attempted.filter((item) => item.key === key).map(({ id }) => id))];
  }

  private check(items: Item[]): void {
    this.attempted.push(...items);
    const keys = [...items, ...this.underWay].flatMap(({ key }) => (key === undefined ? [] : [key]));
    const bytes = items.reduce((sum, { size }) => sum + size, 0);
    const { maxItems, maxBytes, maxInFlight } = this.rules;
    if (items.length === 0) this.broken.push('an empty batch');
    if (new Set(keys).size < keys.length) this.broken.push('a key under way twice');
    if (this.batches >= maxInFlight) this.broken.push('too many batches under way');
    if (items.length > maxItems) this.broken.push('too many items');
    if (items.length > 1 && bytes > maxBytes) this.broken.push('too many bytes');
    if (this.context.getStore() !== undefined) this.broken.push("a caller's context");
  }
}

describe('whatever is called, fails and is late', () => {
  it('every call is settled once, with its own result, in the order of its key', async () => {
    const context = new AsyncLocalStorage<number>();
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        limits,
        calls,
        fc.array(fc.boolean(), { maxLength: 5 }),
        fc.option(fc.nat(30), { nil: undefined }),
        async (scheduler, rules, plan, lost, closeAfter) => {
          const backend = new Backend(scheduler, rules, lost, context);
          const coalescer = new Coalescer<Item, string>({
            name: 'tested',
            flush: backend.flush,
            key: ({ key }) => key,
            size: ({ size }) => size,
            isDataError: (error) => error instanceof DataError,
            ...rules,
          });
          const ends = new Map<number, End[]>();
          const called: Item[] = [];
          const keptContext: boolean[] = [];
          let openAtClose: number | undefined;
          let closed: Promise<void> | undefined;

          const call = async (id: number): Promise<void> => {
            const { key, size, bad } = plan[id]!;
            const item = { id, key, size, bad };
            called.push(item);
            ends.set(id, []);
            const waiting = coalescer.waitingCount;
            try {
              const result = await coalescer.run(item);
              ends.get(id)!.push({ result });
            } catch (error) {
              ends.get(id)!.push({ error });
              if (error instanceof OverloadedError) expect(waiting).toBe(rules.maxWaiting);
            }
            keptContext.push(context.getStore() === id);
          };
          const close = async (): Promise<void> => {
            const before = called.map(({ id }) => id);
            closed = coalescer.close();
            await closed;
            openAtClose = before.filter((id) => ends.get(id)!.length === 0).length;
          };
          const act = (id: number): void => {
            context.run(id, () => void call(id));
            if (id === closeAfter) context.run(-1, () => void close());
            if (plan[id + 1]?.together) act(id + 1);
          };
          plan.forEach(({ together }, id) => {
            if (id === 0 || !together) {
              void scheduler.schedule(Promise.resolve(), `call ${id}`).then(() => act(id));
            }
          });
          await scheduler.waitIdle();

          expect(backend.broken).toEqual([]);
          expect(called).toHaveLength(plan.length);
          expect(coalescer.waitingCount).toBe(0);
          expect(keptContext).toEqual(plan.map(() => true));
          if (closed !== undefined) expect(openAtClose).toBe(0);

          const sent = new Map<string, number[]>();
          for (const { id, key, bad } of called) {
            const [end, ...more] = ends.get(id)!;
            expect(more).toEqual([]);
            const times = backend.applied.filter((applied) => applied === id).length;
            if (end !== undefined && 'result' in end) {
              expect(end.result).toBe(`result ${id}`);
              expect(bad).toBe(false);
              expect(times).toBe(1);
            } else {
              expect(times).toBe(0);
              const error = end?.error;
              const expected =
                error instanceof LostError ||
                error instanceof OverloadedError ||
                (bad && error instanceof DataError) ||
                (closed !== undefined && error instanceof ClosedError);
              expect(expected).toBe(true);
            }
            const refused = end !== undefined && 'error' in end && isRefusal(end.error);
            if (key !== undefined && !refused) sent.set(key, [...(sent.get(key) ?? []), id]);
          }
          for (const [key, ids] of sent) expect(backend.orderOf(key)).toEqual(ids);
        },
      ),
      { numRuns: 500 },
    );
  });
});

function isRefusal(error: unknown): boolean {
  return error instanceof ClosedError || error instanceof OverloadedError;
}
