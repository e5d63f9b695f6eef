import { messageOf, parseDuration } from '@nestbox/core';
import { startWithin } from '@nestbox/nest';
import {
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import type { WorkflowExplorer } from './workflow.explorer.js';
import type { WorkflowModuleOptions } from './workflow.module.options.js';
import type { WorkflowService } from './workflow-service.js';

/** Calls the application's hooks for a {@link WorkflowService}, which knows nothing of Nest. */
export class WorkflowLifecycle
  implements
    OnModuleInit,
    OnApplicationBootstrap,
    OnModuleDestroy,
    BeforeApplicationShutdown,
    OnApplicationShutdown
{
  private readonly logger = new Logger('WorkflowModule');
  private readonly stopping = new AbortController();
  private readonly startMs: number | undefined;
  private readonly isWorker: boolean;
  private started: Promise<void> = Promise.resolve();
  private workerStarting: Promise<void> | undefined;
  private stopped: Promise<void> | undefined;

  constructor(
    private readonly service: WorkflowService,
    private readonly explorer: WorkflowExplorer,
    { startTimeout = '10s', worker = true }: WorkflowModuleOptions,
    private readonly release: () => Promise<void>,
  ) {
    this.startMs = startTimeout === false ? undefined : parseDuration(startTimeout, 'startTimeout');
    this.isWorker = worker;
  }

  /** All providers have been made by now, and none of them has started a run yet. */
  async onModuleInit(): Promise<void> {
    try {
      this.register();
    } catch (error) {
      await this.service.close();
      throw error;
    }
    await this.inTime(() => this.service.init());
  }

  async onApplicationBootstrap(): Promise<void> {
    if (this.isWorker) await this.inTime(() => this.startWorker());
  }

  onModuleDestroy(): void {
    // Those of other modules need not wait for steps that run; the next hook does.
    void this.stop();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.stop();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.stop();
    try {
      await this.service.close();
    } finally {
      await this.release();
    }
  }

  private register(): void {
    const found = this.explorer.explore();
    if (this.isWorker) {
      for (const { instance } of found) this.service.register(instance);
      return;
    }
    if (found.length === 0) return;
    const names = found.map(({ name }) => name).join(', ');
    this.logger.log(
      `This instance runs no workflows (worker: false), so these are left to others: ${names}.`,
    );
  }

  private startWorker(): Promise<void> {
    this.workerStarting = this.service.startWorker();
    return this.workerStarting;
  }

  /** Does it behind what was started before; without a time limit the application goes on meanwhile. */
  private async inTime(start: () => Promise<void>): Promise<void> {
    this.started = this.started.then(() => this.start(start));
    if (this.startMs !== undefined) return this.started;
    // The first failure was logged, and what comes after it only ends with the application.
    this.started.catch(() => undefined);
  }

  private async start(start: () => Promise<void>): Promise<void> {
    if (this.stopping.signal.aborted) return;
    try {
      const attempts = await startWithin(start, {
        timeoutMs: this.startMs ?? Infinity,
        signal: this.stopping.signal,
        onFirstFailure: (error) => this.logger.warn(`Workflows cannot start yet: ${messageOf(error)}`),
      });
      if (attempts > 1) this.logger.log('Workflows have started.');
    } catch (error) {
      if (!this.stopping.signal.aborted) {
        // Nest runs no shutdown hooks after a failed start.
        await this.stop();
        await this.service.close();
      }
      throw error;
    }
  }

  private stop(): Promise<void> {
    this.stopping.abort();
    this.stopped ??= this.stopWorker();
    return this.stopped;
  }

  private async stopWorker(): Promise<void> {
    try {
      // One that is only half started could not be stopped.
      await this.workerStarting?.catch(() => undefined);
      await this.service.stopWorker();
    } catch (error) {
      this.logger.warn(`The worker did not stop cleanly: ${messageOf(error)}`);
    }
  }
}
