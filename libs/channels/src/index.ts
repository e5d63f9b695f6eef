export {
  Backplane,
  type AmbientTransactions,
  type BackplaneMessage,
  type BackplaneReceiver,
  type BackplaneState,
  type BackplaneStatus,
  type HistoryPage,
  type OutgoingMessage,
  type Position,
  type Retention,
} from './backplane/backplane.js';
export {
  BackplaneError,
  ChannelNotFoundError,
  ChannelOperationError,
  PayloadTooLargeError,
} from './channel.errors.js';
export {
  ChannelStore,
  type ChannelAndSession,
  type ChannelNode,
  type ChannelPage,
  type ChannelSummary,
  type ListChannelsOptions,
  type NewChannel,
  type ReapedNode,
} from './channel.store.js';
export type { ChannelTransport, Frame } from './channel.transport.js';
