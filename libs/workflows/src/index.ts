export {
  AmbiguousStepError,
  DeadlineExceededError,
  NonDeterminismError,
  NonRetryableError,
  PayloadTooLargeError,
  RunCancelledError,
  RunConflictError,
  RunDeadError,
  RunFailedError,
  RunNotFoundError,
  RunReleasedError,
  RunStateError,
  SignalTimeoutError,
  StepTimeoutError,
  WorkflowOperationError,
} from './workflow.errors.js';
export { RUN_STATUSES } from './workflow.types.js';
export type {
  BackoffPolicy,
  QueueOptions,
  RetryPolicy,
  RunFilter,
  RunInfo,
  RunStatus,
  StartOptions,
  StepContext,
  StepInfo,
  StepKind,
  StepOptions,
  StepStatus,
  WorkflowOptions,
} from './workflow.types.js';
export type {
  ChildOptions,
  MapOptions,
  TransactionOptions,
  WorkflowContext,
  WorkflowLogger,
} from './workflow-context.js';
export {
  Workflow,
  type InputOf,
  type OutputOf,
  type WorkflowClass,
  type WorkflowHandler,
} from './workflow.decorator.js';
export { Step, type StepDecoratorOptions } from './step.decorator.js';
export { WorkflowHandle, type ResultOptions } from './workflow-handle.js';
export { WorkflowService, type RunPage, type WorkflowServiceOptions } from './workflow-service.js';
export type { WorkflowSettings } from './workflow-service.options.js';
export { createWorkflows, type CreateWorkflowsOptions } from './create-workflows.js';
export { Schedules, type ScheduleInfo } from './schedules/schedules.js';
export type {
  ClaimRequest,
  ClaimedRun,
  Claims,
  Encoded,
  Ending,
  LoadedStep,
  NewRun,
  News,
  QueueRow,
  RunEnd,
  RunRow,
  RunWrite,
  ScheduleRow,
  SignalOutcome,
  SignalRow,
  StartOutcome,
  StepRecord,
  WorkerLease,
  WorkflowBackend,
  WriteOutcome,
} from './workflow.backend.js';
export type { Figures, RunQuery } from './workflow.queries.js';
export { MemoryWorkflowBackend } from './memory/memory.workflow-backend.js';
export { VirtualClock } from './memory/virtual-clock.js';
export { decodeValue, encodeValue } from './values/typed-value.js';
export { workflowMigrations } from './postgres/workflow-schema.js';
export { PgWorkflowBackend, type PgWorkflowBackendOptions } from './postgres/pg.workflow-backend.js';
export { WorkflowModule, type WorkflowModuleExtras } from './workflow.module.js';
export type { WorkflowModuleOptions } from './workflow.module.options.js';
export { InjectWorkflows, getWorkflowToken } from './workflow.tokens.js';
export { WorkflowHealthIndicator, type WorkflowHealthOptions } from './workflow.health.js';
export type {
  ExecutionEnd,
  RunEndEvent,
  RunStartEvent,
  StepEndEvent,
  StepStartEvent,
} from './observe/events.js';
export { MemoryWorkflowStateService } from './state/memory.workflow-state.service.js';
export { PgWorkflowStateService } from './state/pg.workflow-state.service.js';
export { RunLockLostError } from './state/state.errors.js';
export type {
  QueuedStepHandler,
  QueuedStepJob,
  QueuedStepOutcome,
  RunState,
  StateRunStatus,
  StepState,
  WorkflowQueue,
} from './state/state.types.js';
export { WorkflowStateService } from './state/workflow-state.service.js';
