import { Coalescer } from '@nestbox/core';
import { isDataError } from '@nestbox/postgres';
import type { NewRun, RunWrite, StartOutcome, WriteOutcome } from '../workflow.backend.js';

const TRIES = 5;

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

/** Whether it was a serialization failure or a deadlock. */
export function isTransient(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return code === '40001' || code === '40P01';
}

/** A batch that met others in a deadlock had no effect, and is sent again. */
async function again<T>(send: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await send();
    } catch (error) {
      if (attempt === TRIES || !isTransient(error)) throw error;
    }
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
