import { runErrorOf } from './engine/run-error.js';
import type { LoadedStep, RunRow } from './workflow.backend.js';
import type { RunInfo, StepInfo } from './workflow.types.js';

export function infoOf(row: RunRow): RunInfo {
  const { parentId, createdAtMs, updatedAtMs, status, error, ...rest } = row;
  const hasEndedBadly = status === 'cancelled' || status === 'dead';
  return {
    ...rest,
    status,
    error: hasEndedBadly ? runErrorOf(row) : error,
    parent: parentId,
    createdAt: new Date(createdAtMs),
    updatedAt: new Date(updatedAtMs),
  };
}

export function stepInfoOf(step: LoadedStep): StepInfo {
  const { name, kind, result, error, attempts, durationMs, wakeAtMs, updatedAtMs, remainingMs } = step;
  // A sleep is over by itself; nothing is written then.
  const isOver = kind === 'sleep' && remainingMs !== undefined && remainingMs <= 0;
  return {
    name,
    kind,
    status: isOver ? 'done' : step.status,
    result,
    error,
    attempts,
    durationMs,
    wakeAt: wakeAtMs === undefined ? undefined : new Date(wakeAtMs),
    updatedAt: new Date(updatedAtMs),
  };
}
