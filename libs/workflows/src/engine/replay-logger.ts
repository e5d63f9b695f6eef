import { Logger } from '@nestjs/common';
import type { WorkflowLogger } from '../workflow-context.js';
import type { Execution } from './execution.js';

/** Nest's logger, silent while a run does again what it has logged before. */
export function replayLogger(execution: Execution): WorkflowLogger {
  const logger = new Logger(`Workflow ${execution.workflow}`);
  const say =
    (level: 'debug' | 'log' | 'warn' | 'error') =>
    (message: string, ...more: unknown[]): void => {
      if (execution.journal.left > 0) return;
      logger[level](`[${execution.runId}] ${message}`, ...more);
    };
  return { debug: say('debug'), log: say('log'), warn: say('warn'), error: say('error') };
}
