/// <reference types="jest" />
import { changedCode } from './workflows/changed-code.js';
import { children } from './workflows/children.js';
import { crashPoints } from './workflows/crash-points.js';
import { endings } from './workflows/endings.js';
import { listing } from './workflows/listing.js';
import { orders } from './workflows/orders.js';
import { programs } from './workflows/programs.js';
import { queues } from './workflows/queues.js';
import { running } from './workflows/running.js';
import { signals } from './workflows/signals.js';
import { steps } from './workflows/steps.js';
import { sleeping } from './workflows/sleeping.js';
import { WorkflowSuite, type WorkflowContractOptions } from './workflows/subject.js';
import { values } from './workflows/values.js';

const PARTS = [
  crashPoints,
  programs,
  changedCode,
  steps,
  values,
  signals,
  children,
  endings,
  orders,
  running,
  sleeping,
  queues,
  listing,
];

/**
 * Defines the tests that the workflow engine has to pass on every backend, below `WorkflowService`. Call it at the top of
 * a Jest (or Vitest, with globals) test file.
 */
export function workflowContract(name: string, options: WorkflowContractOptions): void {
  describe(name, () => {
    const suite = new WorkflowSuite(options);
    afterEach(() => suite.closeServices());
    afterAll(() => suite.close());
    for (const part of PARTS) part(suite);
  });
}
