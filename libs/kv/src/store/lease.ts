import type { KvLease } from '../kv.adapter.js';
import type { Namespace } from './namespace.js';

/** Takes a lease, and shows it and its errors with the key as it is known inside the namespace. */
export async function scopedLease(space: Namespace, acquire: () => Promise<KvLease>): Promise<KvLease> {
  const lease = await space.run(acquire);
  if (space.prefix === '') return lease;
  return {
    key: space.local(lease.key),
    fencingToken: lease.fencingToken,
    get held() {
      return lease.held;
    },
    renew: () => space.run(() => lease.renew()),
    release: () => space.run(() => lease.release()),
    [Symbol.asyncDispose]: () => lease[Symbol.asyncDispose](),
  };
}
