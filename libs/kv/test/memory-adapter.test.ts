import { MemoryAdapter } from '@nestbox/kv';
import { kvContract } from '@nestbox/testing/contracts';

kvContract('the memory adapter', {
  create: () => Promise.resolve({ adapter: new MemoryAdapter() }),
  capabilities: { query: true, atomicAcrossKeys: true },
});
