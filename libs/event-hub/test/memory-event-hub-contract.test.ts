import { MemoryChannelStore } from '@nestbox/channels';
import { MemoryEventHubStore } from '@nestbox/event-hub';
import { eventHubContract } from '@nestbox/testing/contracts';

eventHubContract('the memory store of subscriptions', {
  create: () => {
    const channels = new MemoryChannelStore();
    return Promise.resolve({ channels, hub: new MemoryEventHubStore(channels) });
  },
  capabilities: { refusesUnknownChannels: true, ordered: true },
});
