import { Postgres } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import postgresJs from 'postgres';
import { PgWorkflowStateService } from '../src/state/pg.workflow-state.service.js';
import { WorkflowOperationError } from '../src/workflow.errors.js';

let database: TestDatabase;
let postgres: Postgres;
let state: PgWorkflowStateService;

beforeAll(async () => {
  database = await testDatabase();
  postgres = new Postgres({ url: database.url, options: { max: 4 } });
  state = new PgWorkflowStateService(postgres);
  await state.init();
});

afterAll(async () => {
  await state.close();
  await postgres.close();
  await database.drop();
});

/** The statements that the database was sent, as the Postgres under a service counts them. */
async function countQueries(fn: (service: PgWorkflowStateService) => Promise<unknown>): Promise<number> {
  const counting = new Postgres({ url: database.url, options: { max: 4 } });
  let count = 0;
  const query = counting.query.bind(counting);
  Object.defineProperty(counting, 'query', {
    value: (text: string, params: unknown[]) => {
      count++;
      return query(text, params);
    },
  });
  const service = new PgWorkflowStateService(counting);
  await service.init();
  count = 0;
  try {
    await fn(service);
    return count;
  } finally {
    await service.close();
    await counting.close();
  }
}

describe('PgWorkflowStateService', () => {
  it('takes a URL, options of postgres.js, options of Postgres, and closes what it opened', async () => {
    const { hostname: host, port, username, password, pathname } = new URL(database.url);
    const options = { host, port: Number(port), username, password, database: pathname.slice(1), max: 2 };
    for (const source of [database.url, options, { options }, { url: database.url }]) {
      const service = new PgWorkflowStateService(source);
      const id = await service.createRun('any source', 1);
      expect(await service.getRun(id)).toMatchObject({ input: 1 });
      await service.close();
      await service.close();
      await expect(service.getRun(id)).rejects.toMatchObject({ code: 'CLOSED' });
    }
    expect(() => new PgWorkflowStateService('')).toThrow(/Invalid sql/);
    expect(() => new PgWorkflowStateService(database.url, {} as never)).toThrow(/Invalid queue/);
    expect(() => new PgWorkflowStateService(database.url, undefined, '')).toThrow(/Invalid schema/);
  });

  it('leaves a client that was passed in open', async () => {
    const sql = postgresJs(database.url, { max: 2, onnotice: () => undefined });
    try {
      const service = new PgWorkflowStateService(sql);
      const id = await service.createRun('shared', new Date(5));
      await service.setStepResult(id, 'none', null);
      expect(await service.getRun(id)).toMatchObject({ input: new Date(5) });
      expect(await service.getStepState(id, 'none')).toMatchObject({ status: 'done', result: null });
      await service.close();
      expect(await sql`select 1 as one`).toEqual([{ one: 1 }]);
    } finally {
      await sql.end({ timeout: 5 });
    }
    await state.withRunLock('x', async () => undefined);
    expect(await postgres.query('select 1 as one')).toEqual([{ one: 1 }]);
  });

  it('creates the schema that it is told to, when it is first used, however many do', async () => {
    const services = [1, 2, 3].map(() => new PgWorkflowStateService(postgres, undefined, 'My "app"'));
    const ids = await Promise.all(services.map((service, i) => service.createRun('mine', i)));
    expect(await services[0]!.getRun(ids[2]!)).toMatchObject({ workflow: 'mine', input: 2 });
    expect(await state.getRun(ids[2]!)).toBeNull();
    await Promise.all(services.map((service) => service.close()));
  });

  it('stores JSON that is not encoded twice, under the names that users rely on', async () => {
    const id = await state.createRun('names', { customer: 'Ada' });
    await state.setStepResult(id, 'pay', { amount: 5 });
    await state.setStepError(id, 'ship', new Error('no van'));
    await state.updateRunStatus(id, 'completed', { ok: true });
    const [run] = await postgres.query(
      `select workflow, status, input->>'customer' as customer, output->'ok' as ok, error,
         created_at > 1.6e12 and updated_at >= created_at as dated
       from workflows.workflow_runs where id = $1`,
      [id],
    );
    expect(run).toEqual({
      workflow: 'names',
      status: 'completed',
      customer: 'Ada',
      ok: true,
      error: null,
      dated: true,
    });
    const steps = await postgres.query(
      `select step_name, status, (result->'amount')::integer as amount, error->>'message' as message
       from workflows.workflow_steps where run_id = $1 order by step_name`,
      [id],
    );
    expect(steps).toEqual([
      { step_name: 'pay', status: 'done', amount: 5, message: null },
      { step_name: 'ship', status: 'error', amount: null, message: 'no van' },
    ]);
  });

  it('sends concurrent calls together, and single ones in one statement each', async () => {
    const count = await countQueries(async (service) => {
      const ids = await Promise.all(Array.from({ length: 200 }, (_, i) => service.createRun('many', i)));
      await Promise.all(ids.map((id) => service.setStepScheduled(id, 'a')));
      await Promise.all(
        ids.flatMap((id) => [service.setStepResult(id, 'a', id), service.setStepError(id, 'b', id)]),
      );
      expect((await service.getStepState(ids[77]!, 'a')).result).toBe(ids[77]);
    });
    expect(count).toBeLessThanOrEqual(8);
    expect(
      await countQueries(async (service) => {
        const id = await service.createRun('one', 1);
        await service.setStepResult(id, 'a', 1);
        await service.setStepError(id, 'b', 1);
        await service.updateRunStatus(id, 'completed', 1);
        await service.getRun(id);
        await service.getStepState(id, 'a');
      }),
    ).toBe(6);
  });

  it('keeps the order of calls for one step, and fails only the culprit among two hundred', async () => {
    await postgres.query(
      `alter table workflows.workflow_steps add constraint poison check (result is null or result <> '"poison"')`,
    );
    const id = await state.createRun('poison', 1);
    const calls = Array.from({ length: 200 }, (_, i) =>
      state.setStepResult(id, `step ${i}`, i === 123 ? 'poison' : i),
    );
    const racing = [state.setStepResult(id, 'raced', 'first'), state.setStepError(id, 'raced', 'second')];
    const lost = state.setStepResult('no such run', 'x', 1);
    const outcomes = await Promise.allSettled(calls);
    const refused = outcomes.flatMap((outcome, i) => (outcome.status === 'rejected' ? [i] : []));
    expect(refused).toEqual([123]);
    const { reason } = outcomes[123] as PromiseRejectedResult;
    expect(reason).toBeInstanceOf(WorkflowOperationError);
    expect(reason).toMatchObject({
      message: expect.stringMatching(/^Failed to set step "step 123" of run/) as unknown,
      cause: { code: '23514' },
    });
    expect(await Promise.all(racing)).toEqual([true, false]);
    await expect(lost).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
    const [row] = await postgres.query(
      'select count(*)::integer as n from workflows.workflow_steps where run_id = $1',
      [id],
    );
    expect(row!['n']).toBe(200);
    await postgres.query('alter table workflows.workflow_steps drop constraint poison');
  });

  it('joins the transaction of its Postgres', async () => {
    let id = '';
    const failing = postgres.transaction(async () => {
      id = await state.createRun('undone', 1);
      await state.setStepResult(id, 'a', 1);
      await state.updateRunStatus(id, 'completed', 1);
      expect(await state.getRun(id)).toMatchObject({ status: 'completed' });
      throw new Error('roll it back');
    });
    await expect(failing).rejects.toThrow('roll it back');
    expect(await state.getRun(id)).toBeNull();
    expect(await state.getStepState(id, 'a')).toEqual({ status: 'pending' });
    const kept = await postgres.transaction(async () => {
      const created = await state.createRun('kept', 1);
      await state.setStepResult(created, 'a', 'x');
      return created;
    });
    expect(await state.getStepState(kept, 'a')).toMatchObject({ result: 'x' });
  });

  it('lets several services write the same steps at once without deadlocks, and one of them first', async () => {
    const others = [1, 2, 3].map(() => new PgWorkflowStateService(postgres));
    const ids = await Promise.all(Array.from({ length: 60 }, (_, i) => state.createRun('contended', i)));
    const written = await Promise.all(
      others.map((other, i) => {
        const order = i % 2 === 0 ? ids : ids.toReversed();
        return Promise.all(order.map((id) => other.setStepResult(id, 'same', i)));
      }),
    );
    expect(written.flat().filter(Boolean)).toHaveLength(60);
    await Promise.all(others.map((other) => other.close()));
  });

  it('leaves the status of a run of the engine alone', async () => {
    const id = await state.createRun('engine', 1);
    await postgres.query(
      `insert into workflows.workflow_active (run_id, workflow, queue) values ($1, 'engine', 'default')`,
      [id],
    );
    await expect(state.updateRunStatus(id, 'completed')).rejects.toMatchObject({ code: 'RUN_STATE' });
    expect(await state.getRun(id)).toMatchObject({ status: 'running' });
  });

  it('names the operation when the database is gone', async () => {
    const nowhere = new PgWorkflowStateService({
      host: '127.0.0.1',
      port: 1,
      database: 'none',
      username: 'nobody',
    });
    await expect(nowhere.createRun('x', 1)).rejects.toMatchObject({
      code: 'WORKFLOW_OPERATION_FAILED',
      message: expect.stringMatching(/^Failed to create a run of "x": /) as unknown,
    });
    await nowhere.close();
  });
});
