import type { SingleClient } from './driver.js';

/** What differs between the two kinds of pub/sub. A connection of ours has subscriptions of one kind only. */
export interface PubSubKind {
  /** ioredis' event for a message, which has the channel and the message as Buffers. */
  event: 'messageBuffer' | 'smessageBuffer';
  /**
   * Resolves to the channels that the node refused since they are not, or not now, its own.
   *
   * @throws when the connection does not take orders
   */
  subscribe(connection: SingleClient, channels: string[]): Promise<Refusal[]>;
  unsubscribe(connection: SingleClient, channels: string[]): Promise<unknown>;
}

export interface Refusal {
  channel: string;
  reason: Error;
}

/** What a node of a cluster replies for slots that it does not serve. */
const REFUSALS = /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN) ?/;

export const classic: PubSubKind = {
  event: 'messageBuffer',
  subscribe: async (connection, channels) => {
    await connection.subscribe(...channels);
    return [];
  },
  unsubscribe: (connection, channels) => connection.unsubscribe(...channels),
};

export const sharded: PubSubKind = {
  event: 'smessageBuffer',
  subscribe: async (connection, channels) => {
    const refused: Refusal[] = [];
    // One by one, since the channels of a command must have the same slot. They are sent together nevertheless.
    await Promise.all(
      channels.map(async (channel) => {
        try {
          await connection.ssubscribe(channel);
        } catch (error) {
          if (!(error instanceof Error && REFUSALS.test(error.message))) throw error;
          refused.push({ channel, reason: error });
        }
      }),
    );
    return refused;
  },
  unsubscribe: (connection, channels) =>
    Promise.all(channels.map((channel) => unlessMoved(connection.sunsubscribe(channel)))),
};

/** A channel whose slot has moved is unsubscribed already. */
async function unlessMoved(reply: Promise<unknown>): Promise<void> {
  try {
    await reply;
  } catch (error) {
    if (!(error instanceof Error && REFUSALS.test(error.message))) throw error;
  }
}
