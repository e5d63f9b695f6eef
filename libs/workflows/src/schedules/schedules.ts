import { assertName, messageOf, runInRootScope } from '@nestbox/core';
import { logger } from '../engine/logger.js';
import { operation } from '../operation.js';
import { decodeValue } from '../values/typed-value.js';
import type { PreparedRun, ScheduleRow, WorkflowBackend } from '../workflow.backend.js';
import { nextTime } from './next-time.js';

/** A schedule, and when it starts its next run. */
export interface ScheduleInfo {
  readonly name: string;
  readonly workflow: string;
  readonly cron: string;
  readonly timezone: string;
  readonly input: unknown;
  readonly nextAt: Date;
  readonly isPaused: boolean;
  readonly lastRunId: string | undefined;
}

/** How often to look when nothing is known to be due. */
const POLL_MS = 5_000;
const MAX_WAIT_MS = 60_000;

/** Workflows that are started at certain times. */
export class Schedules {
  private timer: NodeJS.Timeout | undefined;
  private begin: ((run: PreparedRun) => Promise<void>) | undefined;
  private isFailing = false;
  private isLooking = false;
  private isWanted = false;

  constructor(
    private readonly backend: WorkflowBackend,
    private readonly ready: () => Promise<void>,
    private readonly wallTime: () => number,
  ) {}

  /** @internal */
  start(begin: (run: PreparedRun) => Promise<void>): void {
    this.begin = begin;
    this.lookSoon();
  }

  /** @internal */
  stop(): void {
    this.begin = undefined;
    clearTimeout(this.timer);
  }

  /** @internal For tests: the clock has jumped. */
  checkTime(): void {
    this.lookSoon();
  }

  /** @internal By `WorkflowService.schedule`. */
  async save(name: string, cron: string, timezone: string, run: PreparedRun): Promise<void> {
    assertName(name, 'name');
    assertName(cron, 'cron');
    assertName(timezone, 'options.timezone');
    const firstAtMs = nextTime(cron, timezone, this.wallTime());
    await this.ready();
    const { workflow, input, queue, priority } = run;
    await operation(`save schedule "${name}"`, async () => {
      const before = (await this.backend.schedules()).find((schedule) => schedule.name === name);
      // A deployment that says the same again neither resumes it nor skips what is due.
      const isSame = before?.cron === cron && before.timezone === timezone;
      await this.backend.saveSchedule({
        name,
        workflow,
        cron,
        timezone,
        input,
        options: { queue, priority },
        nextAtMs: isSame ? before.nextAtMs : firstAtMs,
        isPaused: isSame && before.isPaused,
      });
    });
    this.backend.afterCommit(() => this.lookSoon());
  }

  async remove(name: string): Promise<boolean> {
    assertName(name, 'name');
    await this.ready();
    return operation(`remove schedule "${name}"`, () => this.backend.removeSchedule(name));
  }

  /** Starts nothing until it is resumed. @returns whether there is such a schedule */
  async pause(name: string): Promise<boolean> {
    assertName(name, 'name');
    await this.ready();
    return operation(`pause schedule "${name}"`, () => this.backend.pauseSchedule(name, true, undefined));
  }

  /** Goes on with the next time; those that were missed are left out. @returns whether there is such a schedule */
  async resume(name: string): Promise<boolean> {
    assertName(name, 'name');
    await this.ready();
    return operation(`resume schedule "${name}"`, async () => {
      const row = (await this.backend.schedules()).find((schedule) => schedule.name === name);
      if (row === undefined) return false;
      const done = await this.backend.pauseSchedule(
        name,
        false,
        nextTime(row.cron, row.timezone, this.wallTime()),
      );
      this.lookSoon();
      return done;
    });
  }

  async list(): Promise<ScheduleInfo[]> {
    await this.ready();
    const rows = await operation('list the schedules', () => this.backend.schedules());
    return rows.map(({ name, workflow, cron, timezone, input, nextAtMs, isPaused, lastRunId }) => ({
      name,
      workflow,
      cron,
      timezone,
      input: decodeValue(JSON.parse(input)),
      nextAt: new Date(nextAtMs),
      isPaused,
      lastRunId,
    }));
  }

  /** While a look is under way, there is another one behind it. */
  private lookSoon(): void {
    if (this.isLooking) this.isWanted = true;
    else this.plan(0);
  }

  private plan(ms: number): void {
    if (this.begin === undefined) return;
    clearTimeout(this.timer);
    this.timer = runInRootScope(() => setTimeout(() => void this.look(), Math.min(ms, MAX_WAIT_MS))).unref();
  }

  private async look(): Promise<void> {
    this.isLooking = true;
    this.isWanted = false;
    let nextInMs: number | undefined;
    try {
      nextInMs = await this.backend.runDue((schedule, nowMs) => this.runOne(schedule, nowMs));
      this.isFailing = false;
    } catch (error) {
      if (!this.isFailing) logger.warn(`Schedules could not be looked at; trying again: ${messageOf(error)}`);
      this.isFailing = true;
    }
    this.isLooking = false;
    // Others may save schedules that are due earlier.
    this.plan(this.isWanted ? 0 : Math.min(nextInMs ?? POLL_MS, POLL_MS));
  }

  private async runOne(schedule: ScheduleRow, nowMs: number): Promise<{ nextAtMs: number; runId: string }> {
    const { name, workflow, cron, timezone, input, options, nextAtMs: dueAtMs } = schedule;
    const runId = `schedule:${name}:${new Date(dueAtMs).toISOString()}`;
    await this.begin?.({
      id: runId,
      workflow,
      version: undefined,
      input,
      queue: options.queue,
      priority: options.priority,
      partitionKey: undefined,
      delayMs: 0,
      deadlineMs: undefined,
      maxRecoveries: 20,
      parentId: undefined,
      traceparent: undefined,
    });
    // Times that were missed while no process ran are made up for by this one run.
    return { nextAtMs: nextTime(cron, timezone, Math.max(nowMs, dueAtMs)), runId };
  }
}
