import { MemoryEventStoreBackend } from '@nestbox/event-store';
import { eventStoreContract } from '@nestbox/testing/contracts';

eventStoreContract('the memory backend', {
  create: () => Promise.resolve({ backend: new MemoryEventStoreBackend() }),
});
