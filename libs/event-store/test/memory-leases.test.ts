import { LeaseExpiredError } from '@nestbox/postgres';
import { DEFAULT_PARTITION } from '../src/event.types.js';
import { MemoryEventStoreBackend } from '../src/memory/memory.event-store-backend.js';

let backend: MemoryEventStoreBackend;

beforeEach(() => {
  backend = new MemoryEventStoreBackend();
});

describe('leases in memory', () => {
  const signal = new AbortController().signal;

  it('are held by one at a time, in the order of the calls, with growing epochs', async () => {
    const { processors } = backend;
    const first = await processors.lease('l', 1000, signal);
    const order: number[] = [];
    const waiting = [1, 2].map((i) =>
      processors.lease('l', 1000, signal).then((lease) => {
        order.push(i);
        return lease;
      }),
    );
    expect(first.held).toBe(true);
    await first.release();
    await first.release();
    expect(first.held).toBe(false);
    const second = await waiting[0]!;
    expect(order).toEqual([1]);
    await second.release();
    const third = await waiting[1]!;
    expect(third.fence.epoch).toBeGreaterThan(second.fence.epoch);
    expect(second.fence.epoch).toBeGreaterThan(first.fence.epoch);
  });

  it('are no longer waited for once the signal is given', async () => {
    const { processors } = backend;
    const held = await processors.lease('l', 1000, signal);
    const controller = new AbortController();
    const waiting = processors.lease('l', 1000, controller.signal);
    const next = processors.lease('l', 1000, signal);
    controller.abort(new Error('stopped'));
    await expect(waiting).rejects.toThrow('stopped');
    await held.release();
    expect((await next).held).toBe(true);
  });

  it('keep others from moving a checkpoint', async () => {
    const { processors } = backend;
    const key = { processorId: 'p', partition: DEFAULT_PARTITION };
    await processors.register(key, 1, 0n);
    const lease = await processors.lease('l', 1000, signal);
    expect(await processors.save({ ...key, shard: 0 }, 0n, 5n, lease.fence)).toEqual({
      saved: true,
      status: 'active',
    });
    expect(await processors.save({ ...key, shard: 0 }, 0n, 6n, lease.fence)).toEqual({ saved: false });
    await lease.release();
    await expect(processors.save({ ...key, shard: 0 }, 5n, 6n, lease.fence)).rejects.toBeInstanceOf(
      LeaseExpiredError,
    );
    expect(await processors.read(key)).toMatchObject([{ position: 5n }]);
  });
});
