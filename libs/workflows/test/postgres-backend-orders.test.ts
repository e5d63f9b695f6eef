import { RunCancelledError } from '../src/workflow.errors.js';
import { COMPLETED, FAILED, FAILING, STUCK, encode, newRun, park, step } from './support/memory-backend.js';
import { PgBench } from './support/postgres-backend.js';

let bench: PgBench;
let worker: string;

beforeAll(async () => {
  bench = await PgBench.open();
  ({ worker } = await bench.backend.join(60_000));
});
afterAll(() => bench.close());
beforeEach(() => bench.clear());

const REASON = encode(new RunCancelledError('it'));
const UNDOABLE = { isCompensable: true };

describe('a signal', () => {
  it('wakes a parked run that waits for it, and no other', async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.write('a', claim, { end: park(undefined, { signals: ['go'] }) });

    expect(await bench.backend.signal('a', 'stop', encode(1), undefined)).toEqual({
      kind: 'sent',
      worker: undefined,
      woke: false,
    });
    expect((await bench.run('a'))!.status).toBe('suspended');
    expect(await bench.backend.signal('a', 'go', encode(2), undefined)).toEqual({
      kind: 'sent',
      worker: undefined,
      woke: true,
    });
    expect((await bench.run('a'))!.status).toBe('running');
    const [claimed] = await bench.claim(worker);
    expect(claimed!.id).toBe('a');
    const { signals } = await bench.backend.news(worker, ['a'], []);
    expect(signals.map(({ name, payload }) => [name, payload])).toEqual([
      ['stop', 1],
      ['go', 2],
    ]);
  });

  it('says which worker has the run', async () => {
    await bench.begin(worker, 'a');
    expect(await bench.backend.signal('a', 'go', encode(1), undefined)).toEqual({
      kind: 'sent',
      worker,
      woke: false,
    });
  });

  it('with a key counts once, for each name and run, also when the first was taken or the run is over', async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.begin(worker, 'b');
    const send = async (id: string, name: string, dedupe?: string): Promise<string> =>
      (await bench.backend.signal(id, name, encode(null), dedupe)).kind;

    expect(await send('a', 'go', 'k')).toBe('sent');
    expect(await send('a', 'go', 'k')).toBe('repeated');
    expect(await send('a', 'stop', 'k')).toBe('sent');
    expect(await send('b', 'go', 'k')).toBe('sent');
    expect(await send('a', 'go')).toBe('sent');
    expect(await send('a', 'go')).toBe('sent');

    const { signals } = await bench.backend.news(worker, ['a'], []);
    const signalId = signals[0]!.id;
    await bench.write('a', claim, { steps: [step('wait', 0, { kind: 'signal', signalId })] });
    expect(await send('a', 'go', 'k')).toBe('repeated');
    await bench.write('a', claim, { end: COMPLETED });
    expect(await send('a', 'go', 'k')).toBe('repeated');
    expect(await send('a', 'go', 'other')).toBe('ended');
  });

  it('is refused by a run that is over, or was never there; a stuck one takes it', async () => {
    await bench.write('a', await bench.begin(worker, 'a'), { end: COMPLETED });
    await bench.begin(worker, 'b');
    await bench.backend.cancel(['b'], REASON);
    await bench.write('c', await bench.begin(worker, 'c'), { end: STUCK });
    const send = (id: string) => bench.backend.signal(id, 'go', encode(1), undefined);

    expect(await send('a')).toEqual({ kind: 'ended', status: 'completed' });
    expect(await send('b')).toEqual({ kind: 'ended', status: 'cancelled' });
    expect(await send('c')).toMatchObject({ kind: 'sent' });
    expect(await send('d')).toEqual({ kind: 'absent' });
  });
});

describe('a cancel', () => {
  it('ends at once what nobody has and nothing has to be undone of', async () => {
    await bench.backend.start(newRun('ready'));
    await bench.backend.start(newRun('later', { delayMs: 60_000 }));
    await bench.write('done', await bench.begin(worker, 'done'), { end: COMPLETED });

    expect(await bench.backend.cancel(['ready', 'later', 'done', 'absent'], REASON)).toEqual({
      cancelled: ['later', 'ready'],
      workers: [],
    });
    for (const id of ['ready', 'later']) {
      expect(await bench.run(id)).toMatchObject({ status: 'cancelled', error: { code: 'RUN_CANCELLED' } });
      expect(await bench.active(id)).toBeUndefined();
    }
    expect((await bench.run('done'))!.status).toBe('completed');
    expect(await bench.backend.cancel(['ready'], REASON)).toEqual({ cancelled: [], workers: [] });
  });

  it('leaves what has to be stopped or undone to a worker', async () => {
    const claim = await bench.begin(worker, 'claimed');
    for (const [id, change] of [
      ['undone', UNDOABLE],
      ['pending', { ...UNDOABLE, status: 'pending' as const }],
    ] as const) {
      const own = await bench.begin(worker, id);
      await bench.write(id, own, { steps: [step('charge', 0, change)], end: park() });
    }

    expect(await bench.backend.cancel(['claimed', 'undone', 'pending'], REASON)).toEqual({
      cancelled: ['claimed', 'pending', 'undone'],
      workers: [worker],
    });
    expect(await bench.active('claimed')).toMatchObject({ state: 1, ending: 'cancelled' });
    expect(await bench.active('undone')).toMatchObject({ state: 0, ending: 'cancelled' });
    expect(await bench.active('pending')).toBeUndefined();
    expect((await bench.backend.news(worker, [], [])).endings).toEqual([
      { runId: 'claimed', ending: 'cancelled', claim },
    ]);
    expect(await bench.write('claimed', claim, { end: COMPLETED })).toMatchObject({
      held: true,
      done: false,
    });
    const [claimed] = await bench.claim(worker);
    expect(claimed).toMatchObject({
      id: 'undone',
      ending: 'cancelled',
      error: { code: 'RUN_CANCELLED' },
      steps: [{ name: 'charge' }],
    });
  });

  it('takes all that descend from a run, and wakes a parent that waits for it', async () => {
    const claims = new Map<string, bigint>();
    for (const [id, parentId] of [
      ['top', undefined],
      ['middle', 'top'],
      ['low', 'middle'],
      ['deep', 'low'],
      ['sibling', 'top'],
    ] as const) {
      claims.set(id, await bench.begin(worker, id, { parentId }));
    }
    // One that is over has a child that is not.
    await bench.write('low', claims.get('low')!, { end: COMPLETED });
    await bench.write('top', claims.get('top')!, { end: park(undefined, { children: ['middle'] }) });

    expect(await bench.backend.cancel(['middle'], REASON)).toEqual({
      cancelled: ['deep', 'middle'],
      workers: [worker],
    });
    expect((await bench.run('low'))!.status).toBe('completed');
    expect((await bench.run('sibling'))!.status).toBe('running');
    expect(await bench.run('top')).toMatchObject({ status: 'running', error: undefined });
    expect(await bench.active('top')).toMatchObject({ state: 0, ending: null });
    const { outcomes } = await bench.backend.news(worker, [], ['middle', 'sibling']);
    expect(outcomes.map(({ id, status }) => [id, status])).toEqual([['middle', 'cancelled']]);
  });

  it('does not wake a parent that waits for another child, nor one that is cancelled too', async () => {
    const claim = await bench.begin(worker, 'top');
    await bench.begin(worker, 'one', { parentId: 'top' });
    await bench.begin(worker, 'two', { parentId: 'top' });
    await bench.write('top', claim, { end: park(undefined, { children: ['two'] }) });

    await bench.backend.cancel(['one'], REASON);
    expect(await bench.active('top')).toMatchObject({ state: 2 });
    expect((await bench.backend.cancel(['top', 'two'], REASON)).cancelled).toEqual(['top', 'two']);
    expect((await bench.run('top'))!.status).toBe('cancelled');
    expect(await bench.active('top')).toBeUndefined();
  });

  it('reaches children that a cancelled run has started since', async () => {
    await bench.begin(worker, 'top');
    await bench.backend.cancel(['top'], REASON);
    await bench.begin(worker, 'late', { parentId: 'top' });
    expect((await bench.backend.cancel(['top'], REASON)).cancelled).toEqual(['late']);
  });

  it('takes stuck and dead runs', async () => {
    await bench.write('stuck', await bench.begin(worker, 'stuck'), {
      steps: [step('charge', 0, UNDOABLE)],
      end: STUCK,
    });
    await bench.begin('gone', 'dead', { maxRecoveries: 0 });
    await bench.claim(worker, { workflows: [] });
    expect((await bench.run('dead'))!.status).toBe('dead');

    expect((await bench.backend.cancel(['stuck', 'dead'], REASON)).cancelled).toEqual(['dead', 'stuck']);
    expect(await bench.active('stuck')).toMatchObject({ state: 0, ending: 'cancelled' });
    expect(await bench.active('dead')).toBeUndefined();
  });

  it('of a run that has failed lets its worker wind it up, and it stays cancelled', async () => {
    const claim = await bench.begin(worker, 'a');
    await bench.write('a', claim, { end: FAILING });
    expect((await bench.backend.cancel(['a'], REASON)).cancelled).toEqual(['a']);
    expect(await bench.active('a')).toMatchObject({ state: 1, ending: 'failed' });
    expect(await bench.write('a', claim, { end: FAILED })).toMatchObject({ held: true, done: true });
    expect(await bench.run('a')).toMatchObject({ status: 'cancelled', error: { code: 'RUN_CANCELLED' } });
  });
});

describe('a resume', () => {
  it('lets stuck, dead and cancelled runs go on with what they have, and wakes parked ones', async () => {
    await bench.write('stuck', await bench.begin(worker, 'stuck'), { steps: [step('one', 0)], end: STUCK });
    await bench.begin('gone', 'dead', { maxRecoveries: 0 });
    await bench.claim(worker, { workflows: [] });
    await bench.backend.start(newRun('cancelled', { queue: 'q', priority: 7, deadlineMs: 60_000 }));
    await bench.backend.cancel(['cancelled'], REASON);
    await bench.write('parked', await bench.begin(worker, 'parked'), { end: park() });

    const all = ['stuck', 'dead', 'cancelled', 'parked'];
    expect([...(await bench.backend.resume(all))].toSorted()).toEqual(all.toSorted());
    for (const id of all) {
      expect(await bench.run(id)).toMatchObject({ status: 'running', error: undefined });
      expect(await bench.active(id)).toEqual({ state: 0, ending: null, recoveries: 0 });
    }
    const claimed = await bench.claim(worker);
    expect(claimed.find(({ id }) => id === 'stuck')!.steps).toMatchObject([{ name: 'one' }]);
    expect(claimed.find(({ id }) => id === 'cancelled')).toMatchObject({
      queue: 'q',
      priority: 7,
      ending: undefined,
      deadlineInMs: expect.closeTo(60_000, -4),
    });
    expect(await bench.backend.resume(all)).toEqual([]);
  });

  it('leaves alone what is over, is running, or is being wound up', async () => {
    await bench.write('done', await bench.begin(worker, 'done'), { end: COMPLETED });
    await bench.write('failed', await bench.begin(worker, 'failed'), { end: FAILED });
    await bench.begin(worker, 'claimed');
    await bench.begin(worker, 'winding');
    await bench.backend.cancel(['winding'], REASON);
    await bench.backend.start(newRun('ready'));
    expect(await bench.backend.resume(['done', 'failed', 'claimed', 'winding', 'ready', 'absent'])).toEqual(
      [],
    );
    expect(await bench.active('winding')).toMatchObject({ state: 1, ending: 'cancelled' });
  });

  it('takes a cancelled run from those who wait to wind it up', async () => {
    await bench.write('a', await bench.begin(worker, 'a'), {
      steps: [step('charge', 0, UNDOABLE)],
      end: park(),
    });
    await bench.backend.cancel(['a'], REASON);
    expect(await bench.backend.resume(['a'])).toEqual(['a']);
    expect((await bench.claim(worker))[0]).toMatchObject({ ending: undefined, error: undefined });
  });

  it('of many at once begins a run once', async () => {
    await bench.backend.start(newRun('a'));
    await bench.backend.cancel(['a'], REASON);
    const resumed = await Promise.all(Array.from({ length: 6 }, () => bench.backend.resume(['a'])));
    expect(resumed.flat()).toEqual(['a']);
  });
});
