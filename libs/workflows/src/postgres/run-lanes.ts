import { Coalescer } from '@nestbox/core';
import { isDataError } from '@nestbox/postgres';
import type { NewRun, RunWrite, StartOutcome, WriteOutcome } from '../workflow.backend.js';
import { again } from './again.js';

/** Gathers the starts and the checkpoints of all runs of a process in few statements, outside every transaction. */
export class RunLanes {
  private readonly starts: Coalescer<NewRun, StartOutcome>;
  private readonly writes: Coalescer<RunWrite, WriteOutcome>;

  constructor(
    start: (runs: readonly NewRun[]) => Promise<readonly StartOutcome[]>,
    write: (writes: readonly RunWrite[]) => Promise<readonly WriteOutcome[]>,
  ) {
    this.starts = new Coalescer({
      name: 'Starts of workflows',
      flush: (runs) => again(() => start(runs)),
      key: ({ id }) => id,
      size: ({ input }) => Buffer.byteLength(input),
      isDataError,
      maxInFlight: 2,
    });
    this.writes = new Coalescer({
      name: 'Checkpoints of workflows',
      flush: (writes) => again(() => write(writes)),
      key: ({ runId }) => runId,
      size: sizeOf,
      isDataError,
      maxInFlight: 2,
    });
  }

  start(run: NewRun): Promise<StartOutcome> {
    return this.starts.run(run);
  }

  write(write: RunWrite): Promise<WriteOutcome> {
    return this.writes.run(write);
  }

  /** Resolves when all that was to be sent before is settled. Never rejects. */
  async close(): Promise<void> {
    await Promise.all([this.starts.close(), this.writes.close()]);
  }
}

/** In bytes of the values that it holds, which make up most of it. */
function sizeOf({ steps, values, end }: RunWrite): number {
  let size = 0;
  for (const { result = '', error = '' } of steps)
    size += Buffer.byteLength(result) + Buffer.byteLength(error);
  for (const { value } of values) size += Buffer.byteLength(value);
  if (end === undefined) return size;
  if ('error' in end) size += Buffer.byteLength(end.error);
  if ('output' in end) size += Buffer.byteLength(end.output);
  return size;
}
