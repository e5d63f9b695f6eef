import { InvalidArgumentError } from '@nestbox/core';
import { findConnection } from '@nestbox/nest';
import { getPostgresToken, type Postgres } from '@nestbox/postgres';
import type { ModuleRef } from '@nestjs/core';
import { createWorkflows, isBackend } from './create-workflows.js';
import { MemoryWorkflowBackend } from './memory/memory.workflow-backend.js';
import type { WorkflowModuleOptions } from './workflow.module.options.js';
import type { WorkflowService } from './workflow-service.js';

/** The connection of that name, as far as the application has it. */
export interface Known {
  connection: string | undefined;
  postgres: Postgres | undefined;
}

/** The service that the options ask for. @throws InvalidArgumentError */
export function createModuleService(
  options: WorkflowModuleOptions,
  known: Known,
  moduleRef: ModuleRef,
): WorkflowService {
  const {
    store = 'postgres',
    connection,
    schema,
    migrate,
    worker: _,
    startTimeout: __,
    ...settings
  } = options;
  switch (store) {
    case 'memory':
      return createWorkflows(new MemoryWorkflowBackend(), settings);
    case 'postgres': {
      const postgres =
        known.postgres ??
        findConnection(moduleRef, getPostgresToken, 'PostgresModule', connection ?? known.connection);
      return createWorkflows(postgres, { ...settings, schema, migrate });
    }
    default:
      if (isBackend(store)) return createWorkflows(store, settings);
      throw new InvalidArgumentError('store', "must be 'postgres', 'memory', or a WorkflowBackend.");
  }
}
