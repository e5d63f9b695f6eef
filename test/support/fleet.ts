import { type Fixture, spawnFixture } from '@nestbox/testing';
import { type Plan, planOf } from '../fixtures/one-transaction/plan.mjs';

const WORKER = new URL('../fixtures/one-transaction/worker.mjs', import.meta.url);
const PROCESSES = 3;
/** How many transactions each process has under way. */
const AT_ONCE = 4;
/** What PostgreSQL may refuse a transaction with, where several are under way. */
const LOST_RACES = new Set(['40001', '40P01']);

interface Done {
  type: 'done';
  index: number;
  outcome: 'committed' | 'rolled back' | 'failed';
  code?: string;
  message?: string;
}

/** Processes that run transactions, until all are done; one that has been killed is followed by another. */
export class Fleet implements AsyncDisposable {
  readonly planned = new Map<string, Plan>();
  readonly committed = new Set<string>();
  readonly rolledBack = new Set<string>();
  /** Those that were under way in a process when it was killed. */
  readonly unknown = new Set<string>();
  /** Failures that nobody planned. */
  readonly surprises: string[] = [];
  private readonly workers = new Set<Fixture>();
  private next = 0;

  constructor(
    private readonly url: string,
    readonly seed: number,
    private readonly count: number,
  ) {
    for (let i = 0; i < count; i++) this.planned.set(String(i), planOf(seed, i));
  }

  async run(): Promise<void> {
    await Promise.all(Array.from({ length: PROCESSES }, () => this.work()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.workers].map((worker) => worker[Symbol.asyncDispose]()));
  }

  private async work(): Promise<void> {
    while (this.next < this.count) {
      const worker = await spawnFixture(WORKER, { args: [this.url, String(this.seed)] });
      this.workers.add(worker);
      await worker.waitFor('ready', 30_000);
      await Promise.all(Array.from({ length: AT_ONCE }, () => this.feed(worker)));
    }
  }

  /** Gives it one transaction after the other, until it dies. */
  private async feed(worker: Fixture): Promise<void> {
    let hasDied = false;
    void worker.exited.then(() => (hasDied = true));
    while (!hasDied && this.next < this.count) {
      const index = this.next++;
      worker.send({ index });
      try {
        this.note(
          await worker.waitFor<Done>(({ type, index: done }) => type === 'done' && done === index, 60_000),
        );
      } catch (error) {
        if (!hasDied) throw error;
        this.unknown.add(String(index));
      }
    }
  }

  private note({ index, outcome, code, message }: Done): void {
    if (outcome === 'committed') this.committed.add(String(index));
    else this.rolledBack.add(String(index));
    if (outcome === 'failed' && !LOST_RACES.has(code ?? '')) this.surprises.push(`${code} ${message}`);
  }
}
