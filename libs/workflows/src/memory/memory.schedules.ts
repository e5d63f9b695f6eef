import type { ScheduleRow } from '../workflow.backend.js';
import { SCHEDULES } from './memory.tables.js';
import type { Operation } from './operation.js';

/** @see WorkflowBackend.saveSchedule */
export function saveSchedule(op: Operation, schedule: Omit<ScheduleRow, 'lastRunId'>): void {
  const lastRunId = op.get(SCHEDULES, schedule.name)?.lastRunId;
  op.set(SCHEDULES, schedule.name, { ...schedule, options: { ...schedule.options }, lastRunId });
  op.notices.ready = true;
}

/** @see WorkflowBackend.removeSchedule */
export function removeSchedule(op: Operation, name: string): boolean {
  const isThere = op.get(SCHEDULES, name) !== undefined;
  if (isThere) op.delete(SCHEDULES, name);
  return isThere;
}

/** @see WorkflowBackend.pauseSchedule */
export function pauseSchedule(
  op: Operation,
  name: string,
  isPaused: boolean,
  nextAtMs: number | undefined,
): boolean {
  const schedule = op.get(SCHEDULES, name);
  if (schedule === undefined) return false;
  op.set(SCHEDULES, name, { ...schedule, isPaused, nextAtMs: nextAtMs ?? schedule.nextAtMs });
  op.notices.ready = true;
  return true;
}

/** By name. */
export function listSchedules(op: Operation): ScheduleRow[] {
  return [...op.rows(SCHEDULES)].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Those whose time has come, the latest last. */
export function dueSchedules(op: Operation): ScheduleRow[] {
  return [...op.rows(SCHEDULES)]
    .filter((schedule) => isDue(op, schedule))
    .sort((a, b) => a.nextAtMs - b.nextAtMs);
}

/** As it is by now, if its time has come. */
export function dueSchedule(op: Operation, name: string): ScheduleRow | undefined {
  const schedule = op.get(SCHEDULES, name);
  return schedule !== undefined && isDue(op, schedule) ? schedule : undefined;
}

/** Moves a schedule on. */
export function moveSchedule(op: Operation, name: string, nextAtMs: number, lastRunId: string): void {
  const schedule = op.get(SCHEDULES, name);
  if (schedule !== undefined) op.set(SCHEDULES, name, { ...schedule, nextAtMs, lastRunId });
}

/** In how many ms the next one is due. */
export function nextScheduleIn(op: Operation): number | undefined {
  const times = [...op.rows(SCHEDULES)].filter(({ isPaused }) => !isPaused).map(({ nextAtMs }) => nextAtMs);
  return times.length === 0 ? undefined : Math.max(0, Math.min(...times) - op.now);
}

function isDue(op: Operation, { isPaused, nextAtMs }: ScheduleRow): boolean {
  return !isPaused && nextAtMs <= op.now;
}
