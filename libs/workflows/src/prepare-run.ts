import { InvalidArgumentError, assertName, parseDuration } from '@nestbox/core';
import type { WorkflowDescription } from './engine/describe-workflow.js';
import { activeTraceparent } from './observe/traceparent.js';
import { uuidv7 } from './uuid.js';
import { checkSize, encodeValue } from './values/typed-value.js';
import type { PreparedRun } from './workflow.backend.js';
import type { StartOptions } from './workflow.types.js';

/** @throws InvalidArgumentError; PayloadTooLargeError */
export function prepareRun(
  workflow: WorkflowDescription,
  input: unknown,
  options: StartOptions,
  maxPayloadBytes: number,
  parentId: string | undefined,
): PreparedRun {
  const { id = uuidv7(), delay, priority = 0, queue = workflow.queue, partitionKey, deadline } = options;
  assertName(id, 'options.id');
  assertName(queue, 'options.queue');
  if (partitionKey !== undefined) assertName(partitionKey, 'options.partitionKey');
  assertPriority(priority);
  const encoded = encodeValue(input, 'input');
  checkSize(encoded, 'The input', maxPayloadBytes);
  return {
    id,
    workflow: workflow.name,
    version: workflow.version,
    input: encoded,
    queue,
    priority,
    partitionKey,
    delayMs: delay === undefined || delay === 0 ? 0 : parseDuration(delay, 'options.delay'),
    deadlineMs: deadline === undefined ? workflow.deadlineMs : parseDuration(deadline, 'options.deadline'),
    maxRecoveries: workflow.maxRecoveries,
    parentId,
    traceparent: activeTraceparent(),
  };
}

/** @throws InvalidArgumentError */
export function assertPriority(priority: unknown): asserts priority is number {
  if (Number.isSafeInteger(priority) && Math.abs(priority as number) < 2 ** 31) return;
  throw new InvalidArgumentError(
    'options.priority',
    `${String(priority)} must be a whole number of 32 bits.`,
  );
}
