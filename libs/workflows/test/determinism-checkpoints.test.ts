import { Checkpoints } from '../src/engine/checkpoints.js';
import { OutageLog } from '../src/engine/outage-log.js';
import type { RunWrite, StepRecord } from '../src/workflow.backend.js';

function checkpoints(): { checkpoints: Checkpoints; writes: RunWrite[] } {
  const writes: RunWrite[] = [];
  const backend = {
    write: async (write: RunWrite) => {
      writes.push(write);
      return { held: true, ending: undefined, done: true };
    },
    isDataError: () => false,
  };
  const owner = {
    runId: 'run',
    claim: 1n,
    parentId: undefined,
    isAwaitedElsewhere: false,
    outage: new OutageLog(),
    holds: true,
    lose: () => undefined,
    wind: () => undefined,
    spoil: () => undefined,
    written: () => undefined,
  };
  return { checkpoints: new Checkpoints(backend, owner, 0), writes };
}

const base = { kind: 'signal', seq: 1, after: undefined, attempts: 1 } as const;
const pending: StepRecord = { ...base, name: 'go', status: 'pending', wakeInMs: 5_000 };
const done: StepRecord = { ...base, name: 'go', status: 'done', result: '1', signalId: 7n };
const other: StepRecord = { ...base, name: 'other', status: 'done', result: '2', seq: 2 };

describe('a step that begins to wait and is done before either is written', () => {
  // PostgreSQL refuses a statement that writes a row twice.
  it('is one record, which knows until when it would have waited', async () => {
    const { checkpoints: its, writes } = checkpoints();
    for (const step of [pending, other, done]) its.add(step);
    await its.flushed();
    expect(writes).toHaveLength(1);
    expect(writes[0]!.steps).toEqual([{ ...done, wakeInMs: 5_000, wakeAtMs: undefined }, other]);
  });

  it('stays so when a transaction gives it back', async () => {
    const { checkpoints: its, writes } = checkpoints();
    its.add(pending);
    const taken = its.takeSteps();
    its.add(done);
    its.giveBack(taken);
    await its.flushed();
    expect(writes.map(({ steps }) => steps)).toEqual([[{ ...done, wakeInMs: 5_000, wakeAtMs: undefined }]]);
  });
});
