import { runInRootScope } from '@nestbox/core';
import { eventually } from '@nestbox/testing';
import { RunCancelledError } from '../src/workflow.errors.js';
import { COMPLETED, FAILED, STUCK, encode, newRun, newWrite, park, step } from './support/memory-backend.js';
import { PgBench, gate } from './support/postgres-backend.js';

let bench: PgBench;
let worker: string;

beforeAll(async () => {
  bench = await PgBench.open();
  ({ worker } = await bench.backend.join(60_000));
});
afterAll(() => bench.close());
beforeEach(() => bench.clear());

const REASON = encode(new RunCancelledError('it'));

/** Does the first in a transaction that stays open until the second waits for it. */
async function oneBehindTheOther<A, B>(first: () => Promise<A>, second: () => Promise<B>): Promise<[A, B]> {
  const done = gate();
  const commit = gate();
  const one = bench.backend.transaction(async () => {
    const result = await first();
    done.open();
    await commit.opened;
    return result;
  });
  try {
    await Promise.race([done.opened, one]);
    const two = second();
    await eventually(async () => expect(await bench.blocked()).toBe(1), { timeoutMs: 3_000 });
    commit.open();
    return await Promise.all([one, two]);
  } finally {
    // Else a failure would leave the transaction open.
    commit.open();
  }
}

describe('a signal and a run that parks', () => {
  it('meet when the run was about to park', async () => {
    const claim = await bench.begin(worker, 'a');
    const end = park(undefined, { signals: ['go'] });
    const [parked, sent] = await oneBehindTheOther(
      () => bench.backend.writeNow(newWrite('a', claim, { end })),
      () => bench.backend.signal('a', 'go', encode(1), undefined),
    );
    expect(parked).toMatchObject({ done: true });
    expect(sent).toMatchObject({ kind: 'sent', woke: true });
    expect(await bench.active('a')).toMatchObject({ state: 0 });
  });

  it('meet when the signal was about to come', async () => {
    const claim = await bench.begin(worker, 'a');
    const end = park(undefined, { signals: ['go'] });
    const [sent, parked] = await oneBehindTheOther(
      () => bench.backend.signal('a', 'go', encode(1), undefined),
      () => bench.write('a', claim, { end }),
    );
    expect(sent).toMatchObject({ kind: 'sent', woke: false, worker });
    expect(parked).toMatchObject({ held: true, done: false });
    expect(await bench.active('a')).toMatchObject({ state: 1 });
  });

  it('meet always, whichever is first', async () => {
    const ids = Array.from({ length: 150 }, (_, i) => `r${i}`);
    const claims = await Promise.all(ids.map((id) => bench.begin(worker, id)));
    const end = park(undefined, { signals: ['go'] });
    const outcomes = await Promise.all(
      ids.map(async (id, i) => {
        const send = () => bench.backend.signal(id, 'go', encode(1), undefined);
        const stop = () => bench.write(id, claims[i]!, { end });
        const [sent, parked] = await (i % 2 === 0
          ? Promise.all([send(), stop()])
          : Promise.all([stop(), send()]).then(([one, two]) => [two, one] as const));
        return sent.kind === 'sent' && sent.woke === parked.done;
      }),
    );
    expect(outcomes.filter((isRight) => !isRight)).toEqual([]);
    expect((await bench.backend.figures()).parked).toBe(0);
  });

  it('meet when the run ends: the signal is refused', async () => {
    const claim = await bench.begin(worker, 'a');
    const [, sent] = await oneBehindTheOther(
      () => bench.backend.writeNow(newWrite('a', claim, { end: COMPLETED })),
      () => bench.backend.signal('a', 'go', encode(1), undefined),
    );
    expect(sent).toEqual({ kind: 'ended', status: 'completed' });
  });

  it('with one key is sent once, however many send it', async () => {
    await bench.begin(worker, 'a');
    const sent = await Promise.all(
      Array.from({ length: 12 }, () => bench.backend.signal('a', 'go', encode(1), 'key')),
    );
    expect(sent.filter(({ kind }) => kind === 'sent')).toHaveLength(1);
    expect(sent.filter(({ kind }) => kind === 'repeated')).toHaveLength(11);
  });
});

describe('a cancelled child and a parent that parks', () => {
  const end = park(undefined, { children: ['child'] });

  it('meet when the parent was about to park', async () => {
    const claim = await bench.begin(worker, 'parent');
    await bench.begin(worker, 'child', { parentId: 'parent' });
    const [parked, cancel] = await oneBehindTheOther(
      () => bench.backend.writeNow(newWrite('parent', claim, { end })),
      () => bench.backend.cancel(['child'], REASON),
    );
    expect(parked).toMatchObject({ done: true });
    expect(cancel.cancelled).toEqual(['child']);
    expect(await bench.active('parent')).toMatchObject({ state: 0 });
    expect((await bench.run('parent'))!.status).toBe('running');
  });

  it('meet when the child was about to be cancelled', async () => {
    const claim = await bench.begin(worker, 'parent');
    await bench.begin(worker, 'child', { parentId: 'parent' });
    const [, parked] = await oneBehindTheOther(
      () => bench.backend.cancel(['child'], REASON),
      () => bench.write('parent', claim, { end }),
    );
    expect(parked).toMatchObject({ held: true, done: false });
  });
});

describe('a cancel', () => {
  it('waits for the end of a run, and is then too late', async () => {
    const claim = await bench.begin(worker, 'a');
    const [, cancel] = await oneBehindTheOther(
      () => bench.backend.writeNow(newWrite('a', claim, { end: COMPLETED })),
      () => bench.backend.cancel(['a'], REASON),
    );
    expect(cancel.cancelled).toEqual([]);
    expect(await bench.run('a')).toMatchObject({ status: 'completed', error: undefined });
  });

  it('comes before the end of a run, which then does not count', async () => {
    const claim = await bench.begin(worker, 'a');
    const [cancel, written] = await oneBehindTheOther(
      () => bench.backend.cancel(['a'], REASON),
      () => bench.write('a', claim, { steps: [step('one', 0)], end: COMPLETED }),
    );
    expect(cancel).toEqual({ cancelled: ['a'], workers: [worker] });
    expect(written).toEqual({ held: true, ending: 'cancelled', done: false });
    expect((await bench.run('a'))!.status).toBe('cancelled');
    expect(await bench.stepNames('a')).toEqual(['one']);
  });
});

describe('orders from all sides', () => {
  it('are given again when a transaction of somebody else brings them into a deadlock', async () => {
    for (const id of ['a', 'b']) await bench.backend.start(newRun(id));
    const lock = (id: string): Promise<unknown> =>
      bench.postgres.query('select from workflows.workflow_active where run_id = $1 for update', [id]);
    let cancelling: Promise<{ cancelled: readonly string[] }> | undefined;
    // Against the order in which all others lock. Whoever waited first for long is given up, most times the cancel.
    await bench.postgres
      .transaction(async () => {
        await lock('b');
        cancelling = runInRootScope(() => bench.backend.cancel(['a', 'b'], REASON));
        await runInRootScope(() => eventually(async () => expect(await bench.blocked()).toBe(1)));
        await lock('a');
      })
      .catch(() => undefined);
    expect((await cancelling!).cancelled.toSorted()).toEqual(['a', 'b']);
  });

  it('end in no deadlock, and leave each run either over or in the table of those that are not', async () => {
    const ids = Array.from({ length: 12 }, (_, i) => `r${i}`);
    for (const [i, id] of ids.entries()) {
      const parentId = i === 0 ? undefined : ids[Math.floor((i * 7) / 12) % i];
      await bench.backend.start(newRun(id, { parentId }));
    }
    // Not random, so that a failure comes again.
    let seed = 1;
    const next = (below: number): number => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % below;
    };
    const some = (): string[] => ids.filter(() => next(3) === 0);
    const work = async (): Promise<void> => {
      for (const claimed of await bench.claim(worker)) {
        const ends = [COMPLETED, FAILED, STUCK, park(5, { signals: ['go'], children: ids })];
        const end = ends[next(4)]!;
        await bench.write(claimed.id, claimed.claim, {
          steps: [step(`s${next(4)}`, next(4), { isCompensable: next(2) === 0 })],
          parentId: (await bench.run(claimed.id))!.parentId,
          end,
        });
      }
    };
    const orders = [
      () => bench.backend.cancel(some(), REASON),
      () => bench.backend.resume(some()),
      () => bench.backend.retry(some(), undefined),
      () => Promise.all(some().map((id) => bench.backend.signal(id, 'go', encode(1), undefined))),
      work,
    ];
    for (let round = 0; round < 40; round++) {
      await Promise.all(Array.from({ length: 5 }, () => orders[next(orders.length)]!()));
    }

    for (const run of await bench.backend.get(ids)) {
      const active = await bench.active(run.id);
      const expected =
        active === undefined
          ? ['completed', 'failed', 'cancelled']
          : active.ending !== null
            ? ['cancelled']
            : [['running'], ['running'], ['suspended'], ['stuck'], ['dead']][active.state]!;
      expect({ ...active, is: expected }).toEqual({
        ...active,
        is: expect.arrayContaining([run.status]) as unknown,
      });
    }
  }, 60_000);
});
