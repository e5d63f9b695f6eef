import { LocalAdapter } from './local.adapter.js';
import type { LocalAdapterOptions } from './local-host.js';
import { LocalState, type Snapshot } from './local-state.js';

/**
 * Keeps entries in this process: for tests, and for what may be lost with it. It does all that PostgreSQL does,
 * except for outliving the process.
 */
export class MemoryAdapter extends LocalAdapter {
  readonly backend = 'memory';

  constructor(options: LocalAdapterOptions = {}) {
    super('The memory adapter', options);
  }

  protected override load(): Promise<Snapshot> {
    return Promise.resolve(LocalState.empty());
  }

  protected override save(): undefined {
    return undefined;
  }

  protected override saveLater(): void {
    // Nothing outlives the process.
  }

  protected override unload(): Promise<void> {
    return Promise.resolve();
  }
}
