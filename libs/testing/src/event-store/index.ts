export {
  documentDoesNotExist,
  documentExists,
  documentsAre,
  type ExpectedDocument,
  type InCollection,
  type ProjectionCheck,
} from './checks.js';
export {
  DeciderSpec,
  type DeciderExpectation,
  type DeciderSpecification,
  type GivenEvents,
  type SyncDecider,
} from './decider-spec.js';
export { eventsInStream, type SpecEvent, type SpecInput, type StreamEvents } from './events-in-stream.js';
export { type ErrorClass, type ErrorExpectation } from './expect-error.js';
export { type ProjectionOutcome, type ProjectionSpecOptions } from './projection-run.js';
export {
  ProjectionSpec,
  type ProjectionExpectation,
  type ProjectionGiven,
  type ProjectionSpecification,
  type ProjectionThen,
  type ProjectionWhen,
} from './projection-spec.js';
export { SpecFailedError } from './spec.errors.js';
