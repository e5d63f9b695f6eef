export { backplaneContract } from './backplane-contract.js';
export type { BackplaneContractOptions, BackplaneContractSubject } from './backplane/subject.js';
export { channelContract } from './channel-contract.js';
export type { ChannelContractOptions, ChannelContractSubject } from './channels/subject.js';
export { kvContract } from './kv-contract.js';
export type { KvContractOptions, KvContractSubject } from './kv/subject.js';
