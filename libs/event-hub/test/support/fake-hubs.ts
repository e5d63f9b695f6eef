import { EventHubService, type EventHubServiceOptions } from '@nestbox/event-hub';
import { FakeChannelRegistry, FakeChannels, FakeStore } from './fake-channels.js';
import { FakeBackplane, FakeNetwork } from './fake-network.js';

export interface FakeHub {
  hub: EventHubService;
  channels: FakeChannels;
  backplane: FakeBackplane;
}

/** Instances of one application whose store, link and channels are fakes. */
export class FakeHubs {
  readonly network = new FakeNetwork();
  readonly registry = new FakeChannelRegistry();
  readonly store = new FakeStore();
  private readonly hubs: EventHubService[] = [];

  async add(options: Partial<EventHubServiceOptions> = {}): Promise<FakeHub> {
    const made = this.create(options);
    await made.hub.init();
    return made;
  }

  create(options: Partial<EventHubServiceOptions> = {}): FakeHub {
    const channels = new FakeChannels(`node-${this.hubs.length + 1}`, this.registry);
    const backplane = new FakeBackplane(this.network);
    const hub = new EventHubService({ store: this.store, backplane, channels, ...options });
    this.hubs.push(hub);
    return { hub, channels, backplane };
  }

  async close(): Promise<void> {
    await Promise.all(this.hubs.map((hub) => hub.close()));
  }
}
