import type { Duration } from '@nestbox/core';
import type { WorkflowSettings } from './workflow-service.options.js';
import type { WorkflowBackend } from './workflow.backend.js';

/** Options of `WorkflowModule.forRoot`. */
export interface WorkflowModuleOptions extends WorkflowSettings {
  /** Where runs are kept: PostgreSQL, this process (for tests), or a backend of your own. Default: `postgres`. */
  store?: 'postgres' | 'memory' | WorkflowBackend | undefined;
  /** Name of the PostgresModule whose connection is used. Default: the one without a name. */
  connection?: string | undefined;
  /** The schema on PostgreSQL. Default: `workflows`. */
  schema?: string | undefined;
  /** Whether tables are created at start; else they are checked. Default: true. */
  migrate?: boolean | undefined;
  /**
   * Whether this instance of the application runs workflows. One that does not starts runs, finds them and tells them
   * what to do; it need not provide the classes. Default: true.
   */
  worker?: boolean | undefined;
  /** For how long the start goes on trying; `false` goes on in the background while the application starts. Default: 10 s. */
  startTimeout?: Duration | false | undefined;
}
