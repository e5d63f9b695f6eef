import { messageOf } from '@nestbox/core';
import type { StepInfo } from '@nestbox/workflows';

/** A step of a checkout as clients see it. */
export interface StepView {
  name: string;
  kind: string;
  /** `running` while it is done, `waiting` for a signal, a time or another try; then `done` or `error`. */
  status: 'running' | 'waiting' | 'done' | 'error';
  /** How often it was tried. */
  attempts: number;
  /** How long its last try took, in ms; null where it has not ended, or only waits. */
  durationMs: number | null;
  /** What went wrong the last time; null for nothing. */
  error: string | null;
}

/** Nobody reads more of a duration in ms. */
export function toTenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}

export function toStepView({ name, kind, status, attempts, durationMs, error }: StepInfo): StepView {
  return {
    name,
    kind,
    status: status === 'done' || status === 'error' ? status : 'waiting',
    attempts,
    durationMs: durationMs === undefined ? null : toTenths(durationMs),
    error: error === undefined || error === null ? null : messageOf(error),
  };
}
