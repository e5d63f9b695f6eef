/// <reference types="jest" />
import type { ChannelStore } from '@nestbox/channels';
import type { EventHubStore } from '@nestbox/event-hub';

/** Two stores on the same data. */
export interface HubStores {
  channels: ChannelStore;
  hub: EventHubStore;
}

/** A store of subscriptions that the contract is put to, with the store of its channels. */
export interface EventHubContractSubject extends HubStores {
  /** Opens others on the same data, as another process would. Absent where nobody else can. */
  another?: () => Promise<HubStores>;
  /** Called when the stores have been closed. */
  dispose?: () => Promise<void>;
}

/** What the contract of event hub stores is tried on, and what of it holds there. */
export interface EventHubContractOptions {
  /** The stores are empty, and nobody else's. The suite closes them. */
  create: () => Promise<EventHubContractSubject>;
  capabilities: {
    /** `subscribe` gives false for a channel that does not exist; else any id is taken for one. */
    refusesUnknownChannels: boolean;
    /** `listTopics` gives topics in the order of their UTF-8 bytes; else in any order. */
    ordered: boolean;
  };
}

/** `other` is the same as `hub` where nobody else can open it. */
export interface HubScene extends HubStores {
  other: EventHubStore;
  otherChannels: ChannelStore;
  /** Adds channels and gives their ids. */
  add: (...channelIds: string[]) => Promise<string[]>;
}

/** The part of the contract that is about one thing. */
export type EventHubContractPart = (suite: EventHubSuite) => void;

interface Opened extends HubScene {
  close(): Promise<void>;
}

/** The subjects of a suite. Tests that look at all topics have one of their own. */
export class EventHubSuite {
  private opened: Promise<Opened> | undefined;

  constructor(private readonly options: EventHubContractOptions) {}

  get capabilities(): EventHubContractOptions['capabilities'] {
    return this.options.capabilities;
  }

  /** The stores that tests share; each uses names that no other test does. */
  shared(): Promise<HubScene> {
    this.opened ??= this.open();
    return this.opened;
  }

  /** Empty stores for one test. */
  async own<R>(fn: (scene: HubScene) => Promise<R>): Promise<R> {
    const opened = await this.open();
    try {
      return await fn(opened);
    } finally {
      await opened.close();
    }
  }

  async close(): Promise<void> {
    await (await this.opened)?.close();
  }

  private async open(): Promise<Opened> {
    const { channels, hub, another, dispose } = await this.options.create();
    const others = another === undefined ? { channels, hub } : await another();
    return {
      channels,
      hub,
      other: others.hub,
      otherChannels: others.channels,
      add: async (...channelIds) => {
        await Promise.all(
          channelIds.map((channelId) => channels.addChannel({ channelId, channelName: 'chat' })),
        );
        return channelIds;
      },
      close: async () => {
        await Promise.all([hub.close(), others.hub.close()]);
        await Promise.all([channels.close(), others.channels.close()]);
        await dispose?.();
      },
    };
  }
}

/** All topics of a list, page by page. */
export async function topicsOf(hub: EventHubStore, limit: number, prefix?: string): Promise<string[]> {
  const all: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await hub.listTopics({
      limit,
      ...(cursor !== undefined && { cursor }),
      ...(prefix !== undefined && { prefix }),
    });
    expect(page.topics.length).toBeLessThanOrEqual(limit);
    all.push(...page.topics);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return all;
}
