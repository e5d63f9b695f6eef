import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { RunEnd } from '../src/workflow.backend.js';
import {
  Bench,
  CANCELLED,
  COMPLETED,
  FAILED,
  FAILING,
  RELEASE,
  STUCK,
  encode,
  newRun,
  newWrite,
  step,
} from './support/memory-backend.js';

const IDS = ['a', 'b', 'c', 'd'];
const WORKERS = 3;

const anId = fc.constantFrom(...IDS);
const aWorker = fc.nat({ max: WORKERS - 1 });
const anEnd = fc.oneof(
  fc.constantFrom<RunEnd | undefined>(undefined, COMPLETED, FAILED, CANCELLED, FAILING, RELEASE, STUCK),
  fc.record({
    kind: fc.constant('park' as const),
    wakeInMs: fc.option(fc.nat({ max: 20 }), { nil: undefined }),
    signals: fc.subarray(['s', 't']),
    children: fc.subarray(IDS),
  }),
);

const aCommand = fc.oneof(
  fc.record({
    do: fc.constant('start' as const),
    id: anId,
    worker: fc.option(aWorker, { nil: undefined }),
    parentId: fc.option(anId, { nil: undefined }),
    delayMs: fc.constantFrom(0, 0, 7),
    deadlineMs: fc.constantFrom(undefined, undefined, 15),
    maxRecoveries: fc.constantFrom(0, 1, 20),
    queue: fc.constantFrom('free', 'limited'),
  }),
  fc.record({ do: fc.constant('claim' as const), worker: aWorker, limit: fc.nat({ max: 4 }) }),
  fc.record({
    do: fc.constant('write' as const),
    /** Which of the claims that there ever were. */
    nth: fc.nat(),
    end: anEnd,
    isProgress: fc.boolean(),
    isCompensable: fc.boolean(),
    isInTransaction: fc.boolean(),
  }),
  fc.record({ do: fc.constantFrom('cancel', 'resume', 'retry', 'signal'), id: anId }),
  fc.record({ do: fc.constant('lose' as const), worker: aWorker }),
  fc.record({ do: fc.constant('skip' as const), ms: fc.nat({ max: 12 }) }),
);
type Command = typeof aCommand extends fc.Arbitrary<infer C> ? C : never;

interface Claim {
  readonly id: string;
  readonly claim: bigint;
}

/** Carries commands out, and keeps what must be so. */
class Trial {
  readonly bench = new Bench();
  private readonly workers: string[] = [];
  private readonly claims: Claim[] = [];
  private readonly started = new Set<string>();
  /** The names of the steps that were said to be written; a retry may have deleted some of them. */
  private readonly written = new Set<string>();

  async prepare(): Promise<void> {
    for (let i = 0; i < WORKERS; i++) this.workers.push(await this.bench.join());
    await this.bench.backend.saveQueues([
      { name: 'limited', concurrency: 2, partitionConcurrency: undefined, rate: { limit: 3, perMs: 10 } },
    ]);
  }

  async carryOut(command: Command): Promise<void> {
    const { backend, clock } = this.bench;
    switch (command.do) {
      case 'start': {
        const { id, worker, delayMs, ...rest } = command;
        const owner = worker === undefined ? undefined : this.workers[worker];
        const outcome = await backend.start(
          newRun(id, { ...rest, worker: owner, delayMs: owner === undefined ? delayMs : 0 }),
        );
        assert.equal(outcome.kind, this.started.has(id) ? 'exists' : 'started');
        this.started.add(id);
        if (outcome.kind === 'started' && owner !== undefined) this.add({ id, claim: outcome.claim });
        return;
      }
      case 'claim':
        await this.claim(this.workers[command.worker]!, command.limit);
        return;
      case 'write':
        await this.write(command);
        return;
      case 'lose':
        backend.expire(this.workers[command.worker]!);
        this.workers[command.worker] = await this.bench.join();
        return;
      case 'skip':
        clock.skip(command.ms);
        return;
      case 'cancel':
        await backend.cancel([command.id], encode(new Error('no')));
        return;
      case 'resume':
        await backend.resume([command.id]);
        return;
      case 'retry':
        await backend.retry([command.id], undefined);
        return;
      case 'signal':
        await backend.signal(command.id, 's', encode(1), undefined);
    }
  }

  async claim(worker: string, limit: number): Promise<string[]> {
    const { runs } = await this.bench.claim(worker, { limit });
    assert.ok(runs.length <= limit);
    for (const { id, claim } of runs) this.add({ id, claim });
    return runs.map(({ id }) => id);
  }

  /** At most one claim of each run is good for anything, and that is the last one. */
  async check(): Promise<void> {
    for (const id of IDS) {
      const own = this.claims.filter((claim) => claim.id === id);
      const held = [];
      for (const { claim } of own) {
        if ((await this.bench.write(id, claim)).held) held.push(claim);
      }
      assert.ok(held.length <= 1, `${id} is held by ${held.length}`);
      if (held.length > 0) assert.deepEqual(held, [own.at(-1)!.claim]);
      for (const name of await this.bench.stepNames(id)) assert.ok(this.written.has(`${id} ${name}`), name);
    }
    const runs = await this.bench.backend.list({ limit: 10 });
    assert.deepEqual(new Set(runs.map(({ id }) => id)), this.started);
  }

  /** Whatever is not over comes to a worker, and to its end. */
  async drain(): Promise<void> {
    const { bench } = this;
    for (const worker of this.workers) bench.backend.expire(worker);
    const last = await bench.join();
    await bench.claim(last, { limit: 0 });
    for (let i = 0; i < 20; i++) {
      bench.clock.skip(20);
      await bench.backend.resume([...this.started]);
      for (const id of await this.claim(last, 10)) {
        const { claim } = this.claims.at(this.claims.findLastIndex((one) => one.id === id))!;
        const { done } = await bench.write(id, claim, { end: COMPLETED });
        if (!done) assert.ok((await bench.write(id, claim, { end: CANCELLED })).done);
      }
    }
    const none = { ready: 0, claimed: 0, parked: 0, stuck: 0, dead: 0, oldestReadyMs: undefined };
    assert.deepEqual(await bench.backend.figures(), none);
    const runs = await bench.backend.list({ limit: 10 });
    for (const { status } of runs) assert.ok(['completed', 'failed', 'cancelled'].includes(status), status);
    assert.equal(runs.length, this.started.size);
  }

  private add(claim: Claim): void {
    // Higher than all before it, of every run.
    for (const before of this.claims) assert.ok(claim.claim > before.claim);
    this.claims.push(claim);
  }

  private async write(command: Command & { do: 'write' }): Promise<void> {
    if (this.claims.length === 0) return;
    const { nth, end, isProgress, isCompensable, isInTransaction } = command;
    const { id, claim } = this.claims[nth % this.claims.length]!;
    const name = `by ${claim}`;
    const write = newWrite(id, claim, {
      steps: [step(name, Number(claim), { isCompensable })],
      end: end ?? undefined,
      isProgress,
    });
    const { backend } = this.bench;
    const { held } = isInTransaction
      ? await backend.transaction(() => backend.writeNow(write))
      : await backend.write(write);
    if (held) this.written.add(`${id} ${name}`);
  }
}

describe('whatever is done to the memory backend', () => {
  it('no run has two valid claims at once, and none is lost', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(aCommand, { minLength: 1, maxLength: 60 }), async (commands) => {
        const trial = new Trial();
        await trial.prepare();
        for (const command of commands) {
          await trial.carryOut(command);
          await trial.check();
        }
        await trial.drain();
      }),
      { numRuns: 300 },
    );
  });

  it('calls at the same time give a run to one of them', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: 5 }), { minLength: 2, maxLength: 10 }), async (limits) => {
        const bench = new Bench();
        await Promise.all(IDS.map((id) => bench.backend.start(newRun(id))));
        const taken = await Promise.all(
          limits.map(async (limit) => bench.claimIds(await bench.join(), { limit })),
        );
        const ids = taken.flat();
        expect(new Set(ids).size).toBe(ids.length);
        expect(ids).toHaveLength(
          Math.min(
            IDS.length,
            limits.reduce((sum, limit) => sum + limit, 0),
          ),
        );
      }),
      { numRuns: 50 },
    );
  });
});
