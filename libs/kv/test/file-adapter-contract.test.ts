import { FileAdapter } from '@nestbox/kv';
import { kvContract } from '@nestbox/testing/contracts';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

kvContract('the file adapter', {
  create: async () => {
    const folder = await mkdtemp(join(tmpdir(), 'nestbox-kv-'));
    return {
      adapter: new FileAdapter({ filePath: join(folder, 'store.json') }),
      dispose: () => rm(folder, { recursive: true }),
    };
  },
  capabilities: { query: true, atomicAcrossKeys: true },
});
