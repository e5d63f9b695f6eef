import { createHash } from 'node:crypto';
import { InvalidArgumentError } from '@nestbox/core';
import { decodeValue } from '../values/typed-value.js';
import type { QueuedStepJob } from './state.types.js';

export const RUN_JOB = 'workflow-run';
export const STEP_JOB = 'workflow-step';

/** BullMQ allows no colon in the id of a job, which names of steps may have. */
export function jobIdOf(runId: string, stepName: string, attempt: number): string {
  const hash = createHash('sha256').update(`${runId}\0${stepName}`).digest('hex').slice(0, 32);
  return `step-${hash}-${attempt}`;
}

/** @throws InvalidArgumentError when it is no job of a step */
export function stepOf(job: QueuedStepJob): { runId: string; stepName: string; data: unknown } {
  if (!isStepJob(job)) {
    throw new InvalidArgumentError(
      'job',
      'must be one that queueStep added, with { runId, stepName, data } as data.',
    );
  }
  const { runId, stepName, data } = job.data;
  return { runId, stepName, data: decodeValue(data) };
}

function isStepJob(job: unknown): boolean {
  if (typeof job !== 'object' || job === null || !('data' in job)) return false;
  const { data } = job;
  if (typeof data !== 'object' || data === null || !('runId' in data) || !('stepName' in data)) return false;
  return typeof data.runId === 'string' && typeof data.stepName === 'string';
}
