export { backplaneContract } from './backplane-contract.js';
export type { BackplaneContractOptions, BackplaneContractSubject } from './backplane/subject.js';
export { channelContract } from './channel-contract.js';
export type { ChannelContractOptions, ChannelContractSubject } from './channels/subject.js';
export { eventHubContract } from './event-hub-contract.js';
export type { EventHubContractOptions, EventHubContractSubject, HubStores } from './event-hub/subject.js';
export { kvContract } from './kv-contract.js';
export type { KvContractOptions, KvContractSubject } from './kv/subject.js';
