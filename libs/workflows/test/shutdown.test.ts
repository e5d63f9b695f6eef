import { jest } from '@jest/globals';
import { eventually, type Fixture } from '@nestbox/testing';
import { Logger } from '@nestjs/common';
import { FaultCluster, Slow, Waiting, first, said } from './fixtures/fault-cluster.js';

/** So long that nothing here goes on by itself. */
const LEASE_MS = 60_000;
const POLL_MS = 60_000;

let cluster: FaultCluster;

beforeEach(async () => {
  jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  cluster = await FaultCluster.open();
});

afterEach(async () => {
  await cluster.close();
  jest.restoreAllMocks();
});

function spawn(drainTimeout: string): Promise<Fixture> {
  return cluster.spawn({ lease: LEASE_MS, pollMs: POLL_MS, drainTimeout });
}

/** Ends a process as an orchestrator does. @returns when it had given everything back */
async function terminate(instance: Fixture): Promise<number> {
  expect(await instance.kill('SIGTERM')).toEqual({ code: 0, signal: null });
  return first(said(instance, 'closed')).at;
}

describe('a process that gets SIGTERM', () => {
  it('finishes the steps that it is at in time, records them, and leaves the next ones to others', async () => {
    const instances = [await spawn('20s'), await spawn('20s')];
    const ids = Array.from({ length: 10 }, (_, i) => `run ${i}`);
    await Promise.all(ids.map((id) => cluster.workflows.start(Slow, { steps: 3, ms: 600 }, { id })));
    await eventually(() => expect(instances.flatMap((instance) => said(instance, 'begun'))).toHaveLength(10));
    const [leaving, other] = instances.toSorted((a, b) => said(b, 'begun').length - said(a, 'begun').length);
    const left = new Set(said(leaving!, 'begun').map(({ run }) => run!));
    expect(left.size).toBeGreaterThan(0);
    const closedAt = await terminate(leaving!);
    const results = ids.map((id) => cluster.workflows.get(id).result({ timeout: '20s' }));
    expect(await Promise.all(results)).toEqual(ids.map(() => [0, 1, 2]));
    for (const id of left) {
      const begun = said(leaving!, 'begun', id).map(({ step }) => step);
      expect(said(leaving!, 'ended', id).map(({ step }) => step)).toEqual(begun);
      // Nothing was done twice, and none was told to stop.
      expect(cluster.story(id, 'begun').map(({ step }) => step)).toEqual(['step 0', 'step 1', 'step 2']);
      expect(said(leaving!, 'aborted', id)).toEqual([]);
      // It went on at the latest when the last step had ended.
      expect(first(said(other!, 'begun', id)).at).toBeLessThan(closedAt + 1_000);
    }
  }, 60_000);

  it('tells steps to stop that take too long, and others take these up in less than a second', async () => {
    const leaving = await spawn('200ms');
    const other = await spawn('200ms');
    const ids = Array.from({ length: 8 }, (_, i) => `run ${i}`);
    await Promise.all(ids.map((id) => cluster.workflows.start(Slow, { steps: 1, ms: 4_000 }, { id })));
    await eventually(() =>
      expect(said(leaving, 'begun').length + said(other, 'begun').length).toBe(ids.length),
    );
    const [from, to] = said(leaving, 'begun').length > 0 ? [leaving, other] : [other, leaving];
    const taken = said(from, 'begun').map(({ run }) => run!);
    await terminate(from);
    for (const run of taken) {
      const again = await eventually(() => first(said(to, 'begun', run)));
      const aborted = first(said(from, 'aborted', run));
      expect(aborted.name).toBe('RunReleasedError');
      expect(again.at - aborted.at).toBeLessThan(1_000);
    }
    expect(from.stderr).not.toMatch(/unhandled|came to a halt/i);
    // Being given back is no sign of a run that kills its worker.
    const recovered = await cluster.rows('select run_id from workflows.workflow_active where recoveries > 0');
    expect(recovered).toEqual([]);
  }, 60_000);

  it('gives back at once what only waits, and does not wait for it', async () => {
    const leaving = await spawn('30s');
    const waiting = await cluster.workflows.start(Waiting, undefined, { id: 'waiting' });
    await eventually(async () => expect(await waiting.steps()).toHaveLength(2));
    const toldAt = Date.now();
    const closedAt = await terminate(leaving);
    expect(closedAt - toldAt).toBeLessThan(5_000);
    const other = await spawn('30s');
    await waiting.signal('go', 'on');
    expect(await waiting.result({ timeout: '20s' })).toBe('on');
    expect(said(other, 'begun', 'waiting').map(({ step }) => step)).toEqual(['last']);
  }, 60_000);

  it('that was about to claim leaves nothing behind', async () => {
    const handles = [];
    for (let round = 0; round < 3; round++) {
      const leaving = await spawn('10s');
      const ids = Array.from({ length: 30 }, (_, i) => `run ${round} ${i}`);
      const starting = ids.map((id) => cluster.workflows.start(Slow, { steps: 2, ms: 20 }, { id }));
      await eventually(() => first(said(leaving, 'begun')), { intervalMs: 1 });
      await terminate(leaving);
      handles.push(...(await Promise.all(starting)));
      const claimed = await cluster.rows('select run_id from workflows.workflow_active where state = 1');
      expect(claimed).toEqual([]);
    }
    await spawn('10s');
    const results = await Promise.all(handles.map((handle) => handle.result({ timeout: '20s' })));
    expect(results).toEqual(handles.map(() => [0, 1]));
  }, 60_000);
});
