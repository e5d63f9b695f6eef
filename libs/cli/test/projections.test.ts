import { jest } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEventStore, type Consumer, type EventStore } from '@nestbox/event-store';
import { eventually, testDatabase, type TestDatabase } from '@nestbox/testing';
import { runBuilt } from './support/built.js';
import { run, type Around, type Ran } from './support/command.js';

// Many commands, or processes of their own, which take a while on a busy machine.
jest.setTimeout(90_000);

let database: TestDatabase;
let store: EventStore;
let consumer: Consumer | undefined;

beforeAll(async () => {
  database = await testDatabase();
  store = createEventStore(database.url);
  await store.init();
});

afterAll(async () => {
  await store.close();
  await database.drop();
});

const fixtures = join(import.meta.dirname, 'fixtures');

function projections(args: readonly string[], around: Around = {}): Promise<Ran> {
  const env = { DATABASE_URL: database.url };
  return run(['projections', ...args], { env, cwd: fixtures, ...around });
}

it('says that nothing was ever started', async () => {
  expect(await projections(['list'])).toMatchObject({
    code: 0,
    out: '',
    error: 'No processor was ever started.',
  });
  expect((await projections(['list', '--json'])).json()).toEqual({ processors: [] });
  expect(await projections(['parked'])).toMatchObject({ code: 0, out: '', error: 'No events are parked.' });
  expect((await projections(['parked', '--json'])).json()).toEqual({ parked: [] });
});

it.each([
  ['parked', []],
  ['replay', []],
  ['drop', ['--yes']],
  ['reset', ['--yes']],
  ['pause', []],
  ['resume', []],
])('%s says that a processor is not there', async (name, options) => {
  expect(await projections([name, 'nope', ...options])).toMatchObject({
    code: 4,
    out: '',
    error:
      'nestbox: There is no processor "nope"; nestbox projections list shows all that were ever started.',
  });
});

describe('with a reactor that fails', () => {
  let handled: number[];
  let isMended = false;

  beforeAll(async () => {
    handled = [];
    consumer = store.consumer({ pollMs: 50 });
    consumer.reactor({
      processorId: 'mails',
      retry: { attempts: 2, base: 1 },
      eachMessage: ({ data }) => {
        const { n } = data as { n: number };
        if (n % 2 === 0 && !isMended) throw new Error(`no mail for ${n}`);
        handled.push(n);
      },
    });
    for (let n = 1; n <= 4; n++) await store.appendToStream('mail-1', [{ type: 'Asked', data: { n } }]);
    await consumer.start();
    await eventually(async () => (await store.processors.get('mails'))?.parked === 2);
  });

  afterAll(() => consumer?.stop());

  it('lists how far processors are', async () => {
    const { processors } = (await projections(['list', '--json'])).json();
    expect(processors).toEqual([
      {
        processorId: 'mails',
        partition: 'emt:default',
        status: 'active',
        position: expect.stringMatching(/^\d+$/),
        shards: 1,
        lag: expect.stringMatching(/^\d+$/),
        lagMs: expect.any(Number),
        parked: 2,
        error: null,
        updatedAt: expect.stringMatching(/Z$/),
      },
    ]);
    const table = await projections(['list']);
    expect(table.out).toMatch(
      /^PROCESSOR +PARTITION +STATUS +POSITION +LAG +BEHIND +PARKED +UPDATED +ERROR\nmails +emt:default +active /,
    );
  });

  it('lists parked events, of one processor and of all', async () => {
    for (const args of [['parked', 'mails'], ['parked']]) {
      const { parked } = (await projections([...args, '--json'])).json();
      expect(parked).toHaveLength(2);
      expect(parked[0]).toEqual({
        processorId: 'mails',
        partition: 'emt:default',
        attempts: 2,
        error: 'no mail for 2',
        requests: 0,
        parkedAt: expect.stringMatching(/Z$/),
        event: expect.objectContaining({
          type: 'Asked',
          data: { n: 2 },
          streamName: 'mail-1',
          streamPosition: '2',
        }),
      });
    }
    expect((await projections(['parked'])).out).toContain('no mail for 4');
    const { parked } = (await projections(['parked', '--limit', '1', '--json'])).json();
    const [{ event }] = parked;
    const behind = await projections(['parked', 'mails', '--after', event.globalPosition, '--json']);
    expect(behind.json().parked).toMatchObject([{ error: 'no mail for 4' }]);
  });

  it('asks for a replay, which the application carries out', async () => {
    isMended = true;
    const { parked } = (await projections(['parked', '--json'])).json();
    const [{ event }] = parked;
    const one = await projections(['replay', 'mails', '--position', event.globalPosition]);
    expect(one).toMatchObject({ code: 0, out: 'Asked for 1 event to be handled again.' });
    await eventually(() => handled.includes(2));
    await eventually(async () => (await projections(['parked', '--json'])).json().parked.length === 1);
    expect((await projections(['replay', 'mails', '--json'])).json()).toEqual({ requested: 1 });
    await eventually(() => handled.includes(4));
    isMended = false;
  });

  it('forgets parked events when that was confirmed', async () => {
    await store.appendToStream('mail-1', [{ type: 'Asked', data: { n: 6 } }]);
    await eventually(async () => (await store.processors.get('mails'))?.parked === 1);
    expect(await projections(['drop', 'mails'])).toMatchObject({
      code: 2,
      error: expect.stringContaining('This forgets all parked events of "mails"'),
    });
    expect(await projections(['drop', 'mails'], { answer: true })).toMatchObject({
      code: 0,
      out: 'Forgot 1 event.',
    });
    expect((await projections(['parked', '--json'])).json()).toEqual({ parked: [] });
    expect((await projections(['drop', 'mails', '--yes', '--json'])).json()).toEqual({ dropped: 0 });
  });

  it('pauses and resumes', async () => {
    expect(await projections(['pause', 'mails'])).toMatchObject({ code: 0, out: '"mails" rests.' });
    expect((await store.processors.get('mails'))?.status).toBe('paused');
    expect((await projections(['resume', 'mails', '--json'])).json()).toEqual({
      processorId: 'mails',
      status: 'active',
    });
    await store.appendToStream('mail-1', [{ type: 'Asked', data: { n: 7 } }]);
    await eventually(() => handled.includes(7));
  });

  it('lets a processor begin anew when that was confirmed', async () => {
    expect(await projections(['reset', 'mails'], { answer: false })).toMatchObject({
      code: 1,
      questions: ['This lets "mails" go on from the beginning. Go on? [y/N] '],
    });
    isMended = true;
    handled.length = 0;
    expect(await projections(['reset', 'mails', '--yes'])).toMatchObject({ code: 0 });
    await eventually(() => expect(handled).toEqual([1, 2, 3, 4, 6, 7]));
    await consumer!.stop();
    const end = await projections(['reset', 'mails', '--to', 'end', '--yes', '--json']);
    expect(end.json()).toEqual({ processorId: 'mails', position: String(await store.head()) });
    expect((await projections(['reset', 'mails', '--to', '3', '--yes'])).out).toBe(
      '"mails" goes on behind position 3.',
    );
    expect(await projections(['reset', 'mails', '--to', 'middle', '--yes'])).toMatchObject({ code: 2 });
  });
});

describe('nestbox projections rebuild', () => {
  beforeAll(async () => {
    for (let i = 0; i < 3; i++)
      await store.appendToStream(`cart-${i}`, [{ type: 'Added', data: { count: i + 1 } }]);
  });

  const documents = async (): Promise<unknown> =>
    (await store.collection<{ items: number }>('details').find()).map(({ _id, items }) => [_id, items]);
  const ALL = [
    ['cart-0', 1],
    ['cart-1', 2],
    ['cart-2', 3],
  ];

  it('builds a projection that a module exports', async () => {
    const rebuilt = await projections(['rebuild', 'details', '--app', 'projections.mjs', '--yes'], {
      showsProgress: true,
    });
    expect(rebuilt).toMatchObject({ code: 0, error: '', out: 'Rebuilt "details" from 3 events.' });
    expect(rebuilt.progress).toContain('Rebuilding: switching to the new version');
    expect(rebuilt.progress.at(-1)).toBe('');
    expect(await documents()).toEqual(ALL);
  });

  it('asks first, and needs --yes where nobody can be asked', async () => {
    const args = ['rebuild', 'details', '--app', 'projections.mjs'];
    expect(await projections(args)).toMatchObject({ code: 2, error: expect.stringContaining('pass --yes') });
    expect(await projections(args, { answer: false })).toMatchObject({ code: 1 });
    expect((await projections([...args, '--json'], { answer: true })).json()).toEqual({
      projection: 'details',
      events: 3,
    });
  });

  it('takes the module from the configuration file, and a store that the module makes', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'nestbox-cli-'));
    try {
      const config = { url: database.url, events: { app: join(fixtures, 'event-store.mjs') } };
      await writeFile(join(folder, 'nestbox.config.json'), JSON.stringify(config));
      const ended = await runBuilt(['projections', 'rebuild', 'details', '--yes'], {
        cwd: folder,
        env: { FIXTURE_DATABASE_URL: database.url },
      });
      expect(ended).toEqual({ code: 0, stdout: 'Rebuilt "details" from 3 events.\n', stderr: '' });
      expect(await documents()).toEqual(ALL);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('takes the store of a Nest application, with projections that are classes', async () => {
    const env = { DATABASE_URL: database.url, FIXTURE_DATABASE_URL: database.url };
    const args = ['projections', 'rebuild', 'counted', '--app', join(fixtures, 'nest-app.mjs'), '--yes'];
    expect(await runBuilt(args, { env })).toEqual({
      code: 0,
      stdout: 'Rebuilt "counted" from 3 events.\n',
      stderr: '',
    });
    const counted = await store.collection<{ items: number }>('counted').find();
    expect(counted.map(({ _id, items }) => [_id, items])).toEqual(ALL);
  });

  it.each([
    [['details'], 2, 'a rebuild runs code of the application; pass --app <module>'],
    [['details', '--app', 'nope.mjs'], 4, 'There is no module nope.mjs.'],
    [['details', '--app', '../support/built.ts'], 1, 'exports neither "projections"'],
    [['nope', '--app', 'projections.mjs'], 4, 'There is no projection "nope".'],
    [['failing', '--app', 'projections.mjs'], 4, 'No consumer has ever run it'],
  ])('refuses %j with exit code %i', async (args, code, problem) => {
    const ran = await projections(['rebuild', ...args, '--yes']);
    expect(ran).toMatchObject({ code, out: '', error: expect.stringContaining(problem) });
    expect(ran.error).not.toContain('    at ');
  });

  it('leaves the old version when it is interrupted', async () => {
    const controller = new AbortController();
    controller.abort();
    const ran = await projections(['rebuild', 'details', '--app', 'projections.mjs', '--yes'], {
      signal: controller.signal,
    });
    expect(ran).toMatchObject({ code: 1, error: 'nestbox: Interrupted; the projection is as it was.' });
    expect(await documents()).toEqual(ALL);
  });
});
