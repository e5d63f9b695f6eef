export { kvContract } from './kv-contract.js';
export type { KvContractOptions, KvContractSubject } from './kv/subject.js';
