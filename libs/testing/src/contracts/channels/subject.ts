/// <reference types="jest" />
import type { ChannelStore } from '@nestbox/channels';

/** A store of channels that the contract is put to. */
export interface ChannelContractSubject {
  /** Empty, and of its own. The suite closes it. */
  store: ChannelStore;
  /** Opens another store on the same data, as another process would. Absent where nobody else can. */
  another?: () => Promise<ChannelStore>;
  /** Called when the stores have been closed. */
  dispose?: () => Promise<void>;
}

/** What the contract of channel stores is tried on, and what of it holds there. */
export interface ChannelContractOptions {
  create: () => Promise<ChannelContractSubject>;
  capabilities: {
    /** `list` gives channels in the order of their ids' UTF-8 bytes; else in any order. */
    ordered: boolean;
    /**
     * Adding and removing one channel at the same moment leaves it there as a whole or not at all; else it may be there
     * but missing from lists until it is touched or added again.
     */
    atomic: boolean;
  };
}

/** Two stores on the same data; the same one twice where nobody else can open it. */
export interface ChannelScene {
  store: ChannelStore;
  other: ChannelStore;
}

/** The part of the contract that is about one thing. */
export type ChannelContractPart = (suite: ChannelSuite) => void;

interface Opened extends ChannelScene {
  close(): Promise<void>;
}

/** The subjects of a suite. Tests that look at all channels have one of their own. */
export class ChannelSuite {
  private opened: Promise<Opened> | undefined;

  constructor(private readonly options: ChannelContractOptions) {}

  get capabilities(): ChannelContractOptions['capabilities'] {
    return this.options.capabilities;
  }

  /** The stores that tests share; each uses ids that no other test does. */
  shared(): Promise<ChannelScene> {
    this.opened ??= this.open();
    return this.opened;
  }

  /** Empty stores for one test. */
  async own<R>(fn: (scene: ChannelScene) => Promise<R>): Promise<R> {
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
    const { store, another, dispose } = await this.options.create();
    const other = another === undefined ? store : await another();
    return {
      store,
      other,
      close: async () => {
        await Promise.all([store.close(), other.close()]);
        await dispose?.();
      },
    };
  }
}
