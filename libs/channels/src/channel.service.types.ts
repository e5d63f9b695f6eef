import type { Duration, JsonObject, JsonValue } from '@nestbox/core';
import type { AmbientTransactions, Backplane, BackplaneState } from './backplane/backplane.js';
import type { ChannelStore } from './channel.store.js';
import type { ChannelTransport } from './channel.transport.js';

/** What a ChannelService is made of. */
export interface ChannelServiceOptions {
  store: ChannelStore;
  /** Opened and closed by the service. */
  backplane: Backplane;
  /** After so long without a sign of life an instance's channels are gone. Default: 15 s. */
  lease?: Duration;
  /** The most bytes of a message. Default: 1 MiB. */
  maxPayload?: number;
  /** A database whose ambient transactions sends wait for. Default: the one that the backplane is in. */
  transactions?: AmbientTransactions;
  /** Whether `close` closes the store and the backplane. Default: true. */
  closeStore?: boolean;
}

/** What {@link ChannelService.open} takes. */
export interface OpenChannel<Opening extends JsonObject, Session extends JsonObject> {
  /** Default: a random UUID. One that is open already is replaced: the newer connection counts. */
  channelId?: string;
  channelName: string;
  /** Default: `{}`. */
  openingData?: Opening;
  /** Default: none; for an id that is known, the one that it has. */
  session?: Session | null;
  transport: ChannelTransport;
}

/** How something is sent to a channel. */
export interface SendOptions {
  /** Send bytes: the data is a Uint8Array then. Default: false. */
  binary?: boolean;
}

/** Where a channel was: on this instance, on another one, or nowhere. */
export type Whereabouts = 'local' | 'remote' | 'gone';

/** What became of a question about a channel; only another instance is asked. */
export type Asked =
  | { where: 'local' | 'gone' }
  /** What the handler there gave; `null` where it gave nothing. */
  | { where: 'remote'; answer: JsonValue };

/** How a service is, for health reports. */
export interface ChannelFigures {
  /** Channels of this instance. */
  channels: number;
  backplane: BackplaneState;
  lease: {
    /** How long ago it was renewed, in ms. */
    ageMs: number;
    /** Whether it may have ended, so that others may remove this instance's channels. */
    isOverdue: boolean;
  };
}
