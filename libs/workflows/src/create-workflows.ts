import { InvalidArgumentError } from '@nestbox/core';
import type { PostgresSource } from '@nestbox/postgres';
import { PgWorkflowBackend } from './postgres/pg.workflow-backend.js';
import { WorkflowService, type WorkflowServiceOptions } from './workflow-service.js';
import type { WorkflowBackend } from './workflow.backend.js';

/** Options of workflows without Nest. */
export interface CreateWorkflowsOptions extends WorkflowServiceOptions {
  /** The schema in PostgreSQL. Default: `workflows`. */
  schema?: string | undefined;
  /** Creates and upgrades the schema at start; false only checks it. Default: true. */
  migrate?: boolean | undefined;
}

/**
 * Makes a workflow service without Nest. It connects when it is first used, and runs nothing before `startWorker`; close
 * it when done.
 *
 * @param source a URL or options (the connection is the service's own), or a postgres.js client, a `Postgres` or a
 *   backend of yours (which stays open)
 * @throws InvalidArgumentError
 */
export function createWorkflows(
  source: PostgresSource | WorkflowBackend,
  { schema, migrate, ...options }: CreateWorkflowsOptions = {},
): WorkflowService {
  if (!isBackend(source))
    return new WorkflowService(new PgWorkflowBackend(source, { schema, migrate }), options);
  if (schema === undefined && migrate === undefined) return new WorkflowService(source, options);
  throw new InvalidArgumentError(
    schema === undefined ? 'migrate' : 'schema',
    'is for PostgreSQL; give it to the backend.',
  );
}

/** Told by its methods: an application may have two copies of the package. */
export function isBackend(source: unknown): source is WorkflowBackend {
  if (typeof source !== 'object' || source === null) return false;
  return ['init', 'close', 'start', 'write', 'claim'].every(
    (method) => typeof Reflect.get(source, method) === 'function',
  );
}
