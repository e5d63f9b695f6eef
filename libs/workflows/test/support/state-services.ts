import { Postgres } from '@nestbox/postgres';
import { testDatabase } from '@nestbox/testing';
import { MemoryWorkflowStateService } from '../../src/state/memory.workflow-state.service.js';
import { PgWorkflowStateService } from '../../src/state/pg.workflow-state.service.js';
import type { WorkflowQueue } from '../../src/state/state.types.js';
import type { WorkflowStateService } from '../../src/state/workflow-state.service.js';

/** Where the state services of a test file keep their data. */
export interface StateStage {
  /** Undefined in memory. */
  readonly postgres: Postgres | undefined;
  service(queue?: WorkflowQueue): WorkflowStateService;
  close(): Promise<void>;
}

async function onPostgres(): Promise<StateStage> {
  const database = await testDatabase();
  const postgres = new Postgres({ url: database.url, options: { max: 5 } });
  const services: PgWorkflowStateService[] = [];
  return {
    postgres,
    service(queue) {
      const service = new PgWorkflowStateService(postgres, queue);
      services.push(service);
      return service;
    },
    async close() {
      await Promise.all(services.map((service) => service.close()));
      await postgres.close();
      await database.drop();
    },
  };
}

async function onMemory(): Promise<StateStage> {
  return {
    postgres: undefined,
    service: (queue) => new MemoryWorkflowStateService(queue),
    close: async () => undefined,
  };
}

export const STATE_STAGES: readonly [string, () => Promise<StateStage>][] = [
  ['PostgreSQL', onPostgres],
  ['memory', onMemory],
];
