export { EventHubOperationError } from './event-hub.errors.js';
export { EventHubStore, type ListTopicsOptions, type TopicOf, type TopicPage } from './event-hub.store.js';
