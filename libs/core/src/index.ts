export { backoffMs, type BackoffOptions } from './backoff.js';
export { Coalescer, type CoalescerOptions } from './coalescer.js';
export { parseDuration, type Duration } from './duration.js';
export {
  ClosedError,
  InvalidArgumentError,
  OverloadedError,
  TimeoutError,
  UnsupportedOperationError,
  messageOf,
} from './errors.js';
export { assertJson, encodeJson, type JsonObject, type JsonValue } from './json.js';
export { KeyedMutex } from './keyed-mutex.js';
export { Lifecycle } from './lifecycle.js';
export { NestboxError } from './nestbox-error.js';
export { runInRootScope } from './root-scope.js';
export { RowLayer, RowTable, type RowKey } from './row-layer.js';
export { MAX_NAME_BYTES, assertIdentifier, assertName, compareUtf8, textProblem } from './text.js';
