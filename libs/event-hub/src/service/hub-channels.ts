import type { ChannelStore, Frame } from '@nestbox/channels';
import type { JsonValue } from '@nestbox/core';

/** What a hub needs of the ChannelService whose channels it serves. */
export interface HubChannels {
  readonly nodeId: string;
  readonly store: Pick<ChannelStore, 'backend' | 'getChannels'>;
  /** A channel that this instance holds. */
  get(channelId: string): object | undefined;
  localIds(): Iterable<string>;
  /** To a channel that this instance holds. @returns false when it takes nothing any more */
  deliver(channelId: string, frame: Frame): boolean;
  /** To the instance that holds the channel. */
  relay(channelId: string, kind: string, payload: JsonValue): Promise<'local' | 'remote' | 'gone'>;
  onRelay(kind: string, handler: (channelId: string, payload: JsonValue) => void | Promise<void>): Disposable;
  /** A channel that this instance held has ended. */
  onClosed(listener: (channelId: string) => void): Disposable;
  /** Channels of instances that are gone were removed. */
  onRemoved(listener: (channelIds: readonly string[]) => void | Promise<void>): Disposable;
}
