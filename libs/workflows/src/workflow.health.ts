import { parseDuration, type Duration } from '@nestbox/core';
import { reportHealth, type HealthFindings } from '@nestbox/nest';
import { Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { HealthIndicatorResult } from '@nestjs/terminus';
import type { Figures } from './workflow.queries.js';
import type { WorkflowService } from './workflow-service.js';
import { getWorkflowToken } from './workflow.tokens.js';

/** Of one check of the workflows. */
export interface WorkflowHealthOptions {
  /** The name given to `WorkflowModule.forRoot`, for a named one. */
  name?: string;
  /** How long it may take to find out before workflows count as down. Default: 1 s. */
  timeout?: Duration;
  /** How long a run may be ready without being taken before workflows count as degraded. Default: 1 min. */
  maxWait?: Duration;
}

/**
 * Reports workflows to Terminus after a real round trip: `up`; `degraded` while there are stuck or dead runs, or one has
 * been ready for too long; or `down`. Besides `backend` and `latencyMs` it gives how many runs of all instances are
 * `active` (being run), `ready`, `parked`, `stuck` and `dead`, the age of the `oldestReadyMs`, how many runs are `here`
 * in the memory of this process, whether its `worker` is `live`, has `lost` its lease, or is not there (`none`), and how
 * long ago that lease was renewed (`leaseAgeMs`).
 */
@Injectable()
export class WorkflowHealthIndicator {
  constructor(@Inject(ModuleRef) private readonly moduleRef: ModuleRef) {}

  /**
   * @param key what to call it in the report
   * @throws UnsupportedOperationError when @nestjs/terminus is not installed; InvalidArgumentError for a duration
   */
  async isHealthy<const Key extends string = 'workflows'>(
    key: Key = 'workflows' as Key,
    { name, timeout, maxWait = '1m' }: WorkflowHealthOptions = {},
  ): Promise<HealthIndicatorResult<Key>> {
    const maxWaitMs = parseDuration(maxWait, 'maxWait');
    const service: WorkflowService = this.moduleRef.get(getWorkflowToken(name), { strict: false });
    const backend = service.backend.kind;
    return reportHealth({
      key,
      what: `The workflow store on ${backend}`,
      timeout,
      figures: { backend },
      probe: (timeoutMs) => examine(service, timeoutMs, maxWaitMs),
    });
  }
}

async function examine(
  service: WorkflowService,
  timeoutMs: number,
  maxWaitMs: number,
): Promise<HealthFindings> {
  const begin = performance.now();
  await service.backend.ping(timeoutMs);
  const latencyMs = Math.round((performance.now() - begin) * 100) / 100;
  const figures = await service.figures();
  const { worker, leaseAgeMs } = service.workerState;
  const problems = problemsOf(figures, maxWaitMs);
  if (worker === 'lost') problems.push('This worker has lost its lease, and others take its runs.');
  const { claimed: active, ready, parked, stuck, dead, oldestReadyMs } = figures;
  return {
    problem: problems.length === 0 ? undefined : problems.join(' '),
    figures: {
      latencyMs,
      active,
      ready,
      parked,
      stuck,
      dead,
      oldestReadyMs: oldestReadyMs === undefined ? null : Math.round(oldestReadyMs),
      here: service.activeRuns,
      worker,
      leaseAgeMs: leaseAgeMs === undefined ? null : Math.round(leaseAgeMs),
    },
  };
}

function problemsOf({ stuck, dead, ready, oldestReadyMs = 0 }: Figures, maxWaitMs: number): string[] {
  const problems: string[] = [];
  if (stuck > 0) {
    problems.push(
      `${runs(stuck)} stuck, since the code does not fit what they did before; see list({ status: 'stuck' }).`,
    );
  }
  if (dead > 0) {
    problems.push(`${runs(dead)} dead, having lost their workers too often; see list({ status: 'dead' }).`);
  }
  if (oldestReadyMs > maxWaitMs) {
    problems.push(
      `${runs(ready)} ready, the oldest for ${Math.round(oldestReadyMs / 100) / 10} s; is there a worker that knows its workflow, and room in its queue?`,
    );
  }
  return problems;
}

function runs(count: number): string {
  return count === 1 ? '1 run is' : `${count} runs are`;
}
