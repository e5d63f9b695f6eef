import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { messageOf, runInRootScope } from '@nestbox/core';
import type { RunEndEvent, StepEndEvent, StepStartEvent } from '@nestbox/workflows';
import { Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { LiveNews } from '../live/live-news.js';
import { type StepView, toTenths } from './step-view.js';

const STEP_START = 'nestbox:workflows:step:start';
const STEP_END = 'nestbox:workflows:step:end';
const RUN_END = 'nestbox:workflows:run:end';

/** Of one workflow only, in case there are others one day. */
const WORKFLOW = 'shop.checkout';

/** What happens within this time is told at once: most steps take less. */
const PAUSE_MS = 40;

/** What is there to be told of a checkout. */
interface News {
  /** By name, as they are by now. */
  steps: Map<string, StepView>;
  /** How the run has left this process, if it has. */
  end: string | undefined;
}

/** Tells everybody who looks at an order when the steps of its checkout begin and end in this process. */
@Injectable()
export class StepNews implements OnModuleInit, OnApplicationShutdown {
  private untold = new Map<string, News>();
  private timer: NodeJS.Timeout | undefined;
  private telling: Promise<void> | undefined;

  constructor(private readonly news: LiveNews) {}

  onModuleInit(): void {
    subscribe(STEP_START, this.onStart);
    subscribe(STEP_END, this.onEnd);
    subscribe(RUN_END, this.onRunEnd);
  }

  async onApplicationShutdown(): Promise<void> {
    unsubscribe(STEP_START, this.onStart);
    unsubscribe(STEP_END, this.onEnd);
    unsubscribe(RUN_END, this.onRunEnd);
    clearTimeout(this.timer);
    this.untold.clear();
    await this.telling;
  }

  private readonly onStart = (message: unknown): void => {
    const { runId, workflow, stepName: name, kind, attempt: attempts } = message as StepStartEvent;
    if (workflow !== WORKFLOW) return;
    this.note(runId, { name, kind, status: 'running', attempts, durationMs: null, error: null });
  };

  private readonly onEnd = (message: unknown): void => {
    const { runId, workflow, stepName: name, kind, attempt, durationMs, error } = message as StepEndEvent;
    if (workflow !== WORKFLOW) return;
    const problem = error === undefined ? null : messageOf(error);
    const status = problem === null ? 'done' : 'error';
    this.note(runId, {
      name,
      kind,
      status,
      attempts: attempt,
      durationMs: toTenths(durationMs),
      error: problem,
    });
  };

  private readonly onRunEnd = (message: unknown): void => {
    const { runId, workflow, end } = message as RunEndEvent;
    if (workflow === WORKFLOW) this.newsOf(runId).end = end;
  };

  private note(runId: string, step: StepView): void {
    this.newsOf(runId).steps.set(step.name, step);
  }

  private newsOf(runId: string): News {
    const found = this.untold.get(runId);
    if (found !== undefined) return found;
    const news: News = { steps: new Map(), end: undefined };
    this.untold.set(runId, news);
    this.tellSoon();
    return news;
  }

  /** Outside of the run, which neither waits for this nor fails with it. What is told of an order keeps its order. */
  private tellSoon(): void {
    if (this.timer !== undefined || this.telling !== undefined) return;
    runInRootScope(() => {
      this.timer = setTimeout(() => {
        this.timer = undefined;
        this.telling = this.tell().finally(() => {
          this.telling = undefined;
          if (this.untold.size > 0) this.tellSoon();
        });
      }, PAUSE_MS).unref();
    });
  }

  private async tell(): Promise<void> {
    const all = this.untold;
    this.untold = new Map();
    await Promise.all(
      Array.from(all, ([id, { steps, end }]) => this.news.stepsChanged(id, [...steps.values()], end)),
    );
  }
}
