export { WorkflowTestError } from './errors.js';
export { exportHistory, type RecordedStep, type RunHistory } from './history.js';
export { replayHistory, type ReplayOutcome } from './replay.js';
export { WorkflowTestingModule } from './workflow-testing-module.js';
export { WorkflowTestingModuleBuilder, type Override } from './workflow-testing-module.builder.js';
export type { WorkflowTestingOptions } from './workflow-testing.options.js';
