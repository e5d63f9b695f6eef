import { TimeoutError, messageOf, runInRootScope } from '@nestbox/core';
import type { LocalEnd } from './engine/execution-host.js';
import { runErrorOf } from './engine/run-error.js';
import type { WorkflowBackend } from './workflow.backend.js';
import { RunFailedError, RunNotFoundError } from './workflow.errors.js';
import { ENDED, type RunStatus } from './workflow.types.js';

/** How often the ends of runs in other processes are looked for, should nobody tell. */
const POLL_MS = 500;

interface Ended {
  readonly workflow: string;
  readonly status: RunStatus;
  readonly output: unknown;
  readonly error: unknown;
}

interface Waiter {
  settle(ended: Ended): void;
  reject(error: unknown): void;
}

/** Those who wait for runs to end. */
export class Results {
  private readonly waiters = new Map<string, Set<Waiter>>();
  private subscription: ReturnType<WorkflowBackend['on']> | undefined;

  /** @param isHere whether a run is in this process, whose end is told by {@link ended} */
  constructor(
    private readonly backend: WorkflowBackend,
    private readonly isHere: (runId: string) => boolean,
  ) {}

  /**
   * @throws RunFailedError; RunCancelledError; DeadlineExceededError; RunDeadError; RunNotFoundError; TimeoutError; the
   *   reason of the signal
   */
  async wait(
    runId: string,
    timeoutMs: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    signal?.throwIfAborted();
    const { workflow, status, output, error } = await this.ends(runId, timeoutMs, signal);
    if (status === 'completed') return output;
    const reason = runErrorOf({ id: runId, status, error });
    if (status === 'cancelled' || status === 'dead') throw reason;
    throw new RunFailedError(runId, workflow, messageOf(reason), reason);
  }

  ended({ runId, ...end }: LocalEnd): void {
    this.settle(runId, end);
  }

  close(error: unknown): void {
    this.subscription?.[Symbol.dispose]();
    this.subscription = undefined;
    for (const waiters of this.waiters.values()) for (const waiter of waiters) waiter.reject(error);
    this.waiters.clear();
  }

  private ends(
    runId: string,
    timeoutMs: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Ended> {
    return new Promise<Ended>((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const abort = (): void => waiter.reject(signal!.reason);
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        this.waiters.get(runId)?.delete(waiter);
        if (this.waiters.get(runId)?.size === 0) this.waiters.delete(runId);
      };
      const waiter: Waiter = {
        settle: (ended) => {
          done();
          resolve(ended);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      };
      if (timeoutMs !== undefined) {
        timer = setTimeout(() => waiter.reject(new TimeoutError(`Run "${runId}"`, timeoutMs)), timeoutMs);
      }
      signal?.addEventListener('abort', abort);
      const others = this.waiters.get(runId);
      if (others === undefined) this.waiters.set(runId, new Set([waiter]));
      else others.add(waiter);
      this.watch();
      if (!this.isHere(runId)) this.subscription?.wake();
    });
  }

  private watch(): void {
    this.subscription ??= runInRootScope(() =>
      this.backend.on({ kind: 'ended' }, () => this.look(), POLL_MS),
    );
  }

  private async look(): Promise<void> {
    const ids = [...this.waiters.keys()].filter((id) => !this.isHere(id));
    if (ids.length === 0) return;
    const rows = await this.backend.get(ids);
    const found = new Map(rows.map((row) => [row.id, row]));
    for (const id of ids) {
      const row = found.get(id);
      if (row === undefined) this.fail(id, new RunNotFoundError(id));
      else if (ENDED.includes(row.status)) this.settle(id, row);
    }
  }

  private settle(runId: string, ended: Ended): void {
    for (const waiter of this.waiters.get(runId) ?? []) waiter.settle(ended);
  }

  private fail(runId: string, error: unknown): void {
    for (const waiter of this.waiters.get(runId) ?? []) waiter.reject(error);
  }
}
