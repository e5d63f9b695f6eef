/// <reference types="jest" />
import { LeaseHeldError, LeaseLostError } from '@nestbox/kv';
import { eventually } from '../../eventually.js';
import { failureOf, numbers, type KvSuite } from './subject.js';

export function leases(suite: KvSuite): void {
  describe('lease', () => {
    it('has one holder at a time, each with a higher fencing token', async () => {
      const { store, elsewhere } = await suite.scene();
      const other = await elsewhere();
      const first = await store.lease('a', { ttl: '10s' });
      expect(first).toMatchObject({ key: 'a', held: true });
      const refusal = await failureOf(other.lease('a', { ttl: '10s' }));
      expect(refusal).toBeInstanceOf(LeaseHeldError);
      expect(refusal).toMatchObject({ code: 'LEASE_HELD', key: 'a' });
      await (await other.lease('b', { ttl: '10s' })).release();
      expect(await first.release()).toBe(true);
      expect(first.held).toBe(false);
      expect(await first.release()).toBe(false);
      const second = await other.lease('a', { ttl: '10s' });
      expect(second.fencingToken).toBeGreaterThan(first.fencingToken);
      await second.release();
    });

    it('ends by itself, and its holder knows', async () => {
      const { store, elsewhere } = await suite.scene();
      const other = await elsewhere();
      const first = await store.lease('a', { ttl: 150 });
      const second = await other.lease('a', { ttl: '10s', wait: '10s' });
      expect(first.held).toBe(false);
      expect(second.fencingToken).toBeGreaterThan(first.fencingToken);
      const lost = await failureOf(first.renew());
      expect(lost).toBeInstanceOf(LeaseLostError);
      expect(lost).toMatchObject({ code: 'LEASE_LOST', key: 'a' });
      expect(await first.release()).toBe(false);
      expect(second.held).toBe(true);
      await expect(store.lease('a', { ttl: '1s' })).rejects.toBeInstanceOf(LeaseHeldError);
      await second.release();
    });

    it('lasts as long as it is renewed', async () => {
      const { store, elsewhere } = await suite.scene();
      const other = await elsewhere();
      const lease = await store.lease('a', { ttl: 500 });
      const started = performance.now();
      while (performance.now() - started < 1200) {
        await lease.renew();
        await expect(other.lease('a', { ttl: 100, wait: 50 })).rejects.toBeInstanceOf(LeaseHeldError);
        expect(lease.held).toBe(true);
      }
      await lease.release();
      await expect(lease.renew()).rejects.toBeInstanceOf(LeaseLostError);
    });

    it('lets those who wait in soon, one after the other', async () => {
      const { store, elsewhere } = await suite.scene();
      const other = await elsewhere();
      let holders = 0;
      const tokens = await Promise.all(
        numbers(6).map(async (i) => {
          const lease = await (i % 2 === 0 ? store : other).lease('a', { ttl: '20s', wait: '20s' });
          holders++;
          expect(holders).toBe(1);
          await store.get('a');
          holders--;
          await lease.release();
          return lease.fencingToken;
        }),
      );
      expect(new Set(tokens).size).toBe(6);
    });

    it('stops waiting when the time is up or the signal aborts', async () => {
      const { store } = await suite.scene();
      const holder = await store.lease('a', { ttl: '10s' });
      await expect(store.lease('a', { ttl: '10s', wait: 30 })).rejects.toBeInstanceOf(LeaseHeldError);
      const abort = new AbortController();
      const reason = new Error('enough');
      const waiting = failureOf(store.lease('a', { ttl: '10s', wait: '10s', signal: abort.signal }));
      abort.abort(reason);
      expect(await waiting).toBe(reason);
      const aborted = store.lease('b', { ttl: '10s', signal: AbortSignal.abort(reason) });
      expect(await failureOf(aborted)).toBe(reason);
      // Nobody is left in the queue.
      await holder.release();
      await (await store.lease('a', { ttl: '10s' })).release();
    });

    it('can be released by `await using`, and does not touch an entry of its name', async () => {
      const { store } = await suite.scene();
      await store.set('a', 'entry');
      const lease = await store.lease('a', { ttl: '10s' });
      expect(await store.get('a')).toBe('entry');
      expect((await store.stats()).count).toBe(1);
      await store.delete('a');
      expect(lease.held).toBe(true);
      await lease[Symbol.asyncDispose]();
      expect(lease.held).toBe(false);
      await (await store.lease('a', { ttl: '10s' })).release();
      expect(await store.has('a')).toBe(false);
    });

    it('grows its tokens also when nobody wanted it for a while', async () => {
      const { store } = await suite.scene();
      let last = -1n;
      for (const _ of numbers(3)) {
        // A holder gives up a little before others may come.
        const lease = await store.lease('a', { ttl: 20, wait: '10s' });
        expect(lease.fencingToken).toBeGreaterThan(last);
        last = lease.fencingToken;
        await eventually(() => !lease.held);
      }
    });
  });
}
