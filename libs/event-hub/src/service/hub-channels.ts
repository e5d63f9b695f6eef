import type { AmbientTransactions, Asked, ChannelStore, Frame } from '@nestbox/channels';
import type { JsonValue } from '@nestbox/core';

/** What a hub needs of the ChannelService whose channels it serves. */
export interface HubChannels {
  readonly nodeId: string;
  /** The caller's, for whose commit what is relayed waits. */
  readonly currentTransaction: AmbientTransactions['currentTransaction'];
  readonly store: Pick<ChannelStore, 'backend' | 'getChannels' | 'locate'>;
  /** A channel that this instance holds. */
  get(channelId: string): object | undefined;
  localIds(): Iterable<string>;
  /** To a channel that this instance holds. @returns false when it takes nothing any more */
  deliver(channelId: string, frame: Frame): boolean;
  /** To the instance that holds the channel. */
  relay(channelId: string, kind: string, payload: JsonValue): Promise<'local' | 'remote' | 'gone'>;
  /** The instance that holds the channel, if that is another one, until it answers; outside of transactions. */
  ask(channelId: string, kind: string, payload: JsonValue, signal?: AbortSignal): Promise<Asked>;
  /** Of relays, and of questions, to which it gives the answer. */
  onRelay(
    kind: string,
    handler: (channelId: string, payload: JsonValue) => JsonValue | void | Promise<JsonValue | void>,
  ): Disposable;
  /** A channel that this instance held has ended; when it is replaced, it goes on with a newer connection. */
  onClosed(listener: (channelId: string, isReplaced: boolean) => void): Disposable;
  /** Channels of instances that are gone were removed. */
  onRemoved(listener: (channelIds: readonly string[]) => void | Promise<void>): Disposable;
}
