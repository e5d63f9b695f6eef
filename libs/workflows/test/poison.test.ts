import { jest } from '@jest/globals';
import { Postgres } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import { Workflow, createWorkflows, type WorkflowContext, type WorkflowService } from '@nestbox/workflows';
import { Logger } from '@nestjs/common';

/** What a constraint of the test refuses, in place of data that PostgreSQL itself would refuse. */
const POISON = 'poison';

let database: TestDatabase;
let postgres: Postgres;
let workflows: WorkflowService;
let logged: string[];
let undone: string[];
/** Opens when all runs are at the same step. */
let gate: Gate;

class Gate {
  private arrived = 0;
  private open: (() => void) | undefined;
  private readonly opened = new Promise<void>((resolve) => {
    this.open = resolve;
  });

  constructor(private readonly count: number) {}

  async pass(): Promise<void> {
    if (++this.arrived >= this.count) this.open!();
    await this.opened;
  }
}

interface Input {
  result: string;
  where: 'step' | 'last' | 'output' | 'value';
}

@Workflow({ name: 'poisoned' })
class Poisoned {
  async run(context: WorkflowContext, { result, where }: Input): Promise<string> {
    const at = (place: Input['where']): string => (where === place ? result : 'fine');
    const compensate = (): void => void undone.push(context.runId);
    await context.step('before', { compensate }, () => 'fine');
    await context.step('together', async () => {
      await gate.pass();
      return at('step');
    });
    if (where === 'value') context.setValue('shown', result);
    if (where !== 'last') await context.step('after', () => 'fine');
    await context.step('last', () => at('last'));
    return at('output');
  }
}

beforeEach(async () => {
  logged = [];
  undone = [];
  jest
    .spyOn(Logger.prototype, 'error')
    .mockImplementation((message: unknown) => void logged.push(String(message)));
  database = await testDatabase();
  postgres = new Postgres({ url: database.url, options: { max: 6 } });
  workflows = createWorkflows(postgres, { workflows: [new Poisoned()], concurrency: 300 });
  await workflows.startWorker();
  await postgres.query(
    `alter table workflows.workflow_steps add constraint no_poison check (result is distinct from '"${POISON}"');
     alter table workflows.workflow_runs add constraint no_poison check (output is distinct from '"${POISON}"');
     alter table workflows.workflow_values add constraint no_poison check (value is distinct from '"${POISON}"')`,
  );
});

afterEach(async () => {
  await workflows.close();
  await postgres.close();
  await database.drop();
  jest.restoreAllMocks();
});

describe('a checkpoint that PostgreSQL refuses among 200 that are written together', () => {
  it.each<Input['where']>(['step', 'last', 'output', 'value'])(
    'of a %s makes its own run fail, and no other',
    async (where) => {
      const count = 200;
      gate = new Gate(count);
      const handles = await Promise.all(
        Array.from({ length: count }, (_, i) =>
          workflows.start(Poisoned, { result: i === 77 ? POISON : 'fine', where }, { id: `run ${i}` }),
        ),
      );
      const outcomes = await Promise.allSettled(handles.map((handle) => handle.result({ timeout: '30s' })));
      const failed = outcomes.flatMap(({ status }, i) => (status === 'rejected' ? [i] : []));
      expect(failed).toEqual([77]);
      await expect(handles[77]!.result()).rejects.toMatchObject({
        name: 'RunFailedError',
        runId: 'run 77',
        cause: { code: '23514' },
      });
      // It is over as others that fail are: in the database, logged, and undone.
      expect(await workflows.counts()).toEqual({ poisoned: { completed: count - 1, failed: 1 } });
      expect(await workflows.figures()).toMatchObject({ claimed: 0, ready: 0, parked: 0 });
      expect(logged).toEqual(['What run "run 77" of "poisoned" recorded was refused']);
      expect(undone).toEqual(['run 77']);
      const poison = await postgres.query(
        `select step_name from workflows.workflow_steps where result = '"${POISON}"'`,
      );
      expect(poison).toEqual([]);
    },
    60_000,
  );

  it('of a start is refused to its caller only', async () => {
    gate = new Gate(50);
    await postgres.query(
      `alter table workflows.workflow_runs add constraint no_input check (input ->> 'result' <> '${POISON}')`,
    );
    const starts = await Promise.allSettled(
      Array.from({ length: 51 }, (_, i) =>
        workflows.start(Poisoned, { result: i === 20 ? POISON : 'fine', where: 'last' }, { id: `run ${i}` }),
      ),
    );
    expect(starts.flatMap(({ status }, i) => (status === 'rejected' ? [i] : []))).toEqual([20]);
    const [refused] = starts.filter(({ status }) => status === 'rejected');
    expect(refused).toMatchObject({ reason: { name: 'WorkflowOperationError', cause: { code: '23514' } } });
    for (const start of starts)
      if (start.status === 'fulfilled') await start.value.result({ timeout: '20s' });
    expect(await workflows.counts()).toEqual({ poisoned: { completed: 50 } });
  }, 60_000);
});
