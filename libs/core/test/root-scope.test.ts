import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { runInRootScope } from '@nestbox/core';

describe('runInRootScope', () => {
  const context = new AsyncLocalStorage<string>();

  it('leaves the caller’s context for what the function does and for what it starts', async () => {
    const seen: unknown[] = [];
    const started = context.run('caller', () =>
      runInRootScope(async () => {
        seen.push(context.getStore());
        await Promise.resolve();
        seen.push(context.getStore());
        await sleep(1);
        seen.push(context.getStore());
        queueMicrotask(() => seen.push(context.getStore()));
      }),
    );
    await started;

    expect(seen).toEqual([undefined, undefined, undefined, undefined]);
  });

  it('leaves contexts of stores that were created later than the library', () => {
    const later = new AsyncLocalStorage<number>();
    expect(
      later.run(1, () =>
        context.run('x', () => runInRootScope(() => [later.getStore(), context.getStore()])),
      ),
    ).toEqual([undefined, undefined]);
  });

  it('gives the result and the error of the function, and the context back to the caller', () => {
    context.run('caller', () => {
      expect(runInRootScope(() => 7)).toBe(7);
      expect(() =>
        runInRootScope(() => {
          throw new Error('inside');
        }),
      ).toThrow('inside');
      expect(context.getStore()).toBe('caller');
    });
  });
});
