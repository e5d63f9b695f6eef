import { MemoryChannelStore } from '@nestbox/channels';
import { channelContract } from '@nestbox/testing/contracts';

channelContract('the memory store of channels', {
  create: () => Promise.resolve({ store: new MemoryChannelStore() }),
  capabilities: { ordered: true, atomic: true },
});
