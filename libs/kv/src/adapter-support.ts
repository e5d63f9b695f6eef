export {
  MAX_INT64,
  MIN_INT64,
  assertBound,
  assertExpectedVersion,
  assertIncrement,
  assertKey,
  assertLimit,
  assertRange,
  assertVersion,
  distinctKeys,
  encodeEntries,
  encodeOperations,
  encodeValue,
  lifetimeOf,
  optionalMs,
  type EncodedEntry,
  type EncodedOperation,
  type Lifetime,
} from './support/arguments.js';
export { assertAdapter } from './support/assert-adapter.js';
export { containsJson } from './support/contains-json.js';
export { addToCounter } from './support/counter.js';
export { keyOperation, naming, namingKey, operationError } from './support/failures.js';
export { Lifecycle } from '@nestbox/core';
export { readableSize } from './support/readable-size.js';
