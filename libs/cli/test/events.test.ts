import { createEventStore, type EventStore } from '@nestbox/event-store';
import { Postgres } from '@nestbox/postgres';
import { eventually, testDatabase, type TestDatabase } from '@nestbox/testing';
import { run, type Around, type Ran } from './support/command.js';

let database: TestDatabase;
let store: EventStore;

beforeAll(async () => {
  database = await testDatabase();
  store = createEventStore(database.url);
  await store.init();
});

afterAll(async () => {
  await store.close();
  await database.drop();
});

function events(args: readonly string[], around: Around = {}): Promise<Ran> {
  return run(['events', ...args], { env: { DATABASE_URL: database.url }, ...around });
}

it('says of an empty store that it is empty', async () => {
  expect(await events(['streams'])).toMatchObject({ code: 0, out: '', error: 'There are no such streams.' });
  expect((await events(['streams', '--json'])).json()).toEqual({ streams: [], cursor: null });
  expect(await events(['read'])).toMatchObject({ code: 0, out: '', error: 'There are no such events.' });
  expect(await events(['read', '--json'])).toMatchObject({ code: 0, out: '', error: '' });
});

describe('with events', () => {
  beforeAll(async () => {
    await store.appendToStream('cart-1', [
      { type: 'Added', data: { sku: 'a', note: 'two\nlines' } },
      { type: 'Added', data: { sku: 'b' }, metadata: { by: 'ada' } },
      { type: 'CheckedOut', data: {} },
    ]);
    await store.appendToStream('cart-2', [{ type: 'Added', data: { sku: 'c' } }]);
    await store.appendToStream('order-1', [{ type: 'Placed', data: { total: 7 } }]);
    await store.deleteStream('cart-2');
  });

  it('lists streams, page by page', async () => {
    expect((await events(['streams', '--json'])).json()).toEqual({
      streams: [
        { streamName: 'cart-1', category: 'cart', version: '3', state: 'open' },
        { streamName: 'cart-2', category: 'cart', version: expect.any(String), state: 'deleted' },
        { streamName: 'order-1', category: 'order', version: '1', state: 'open' },
      ],
      cursor: null,
    });
    const first = await events(['streams', '--limit', '2']);
    expect(first.out.split('\n').map((line) => line.split(/\s+/).slice(0, 2))).toEqual([
      ['STREAM', 'CATEGORY'],
      ['cart-1', 'cart'],
      ['cart-2', 'cart'],
    ]);
    const [, cursor] = /--cursor (\S+)/.exec(first.error)!;
    expect((await events(['streams', '--cursor', cursor!, '--json'])).json().streams).toHaveLength(1);
    expect((await events(['streams', '--category', 'order', '--json'])).json().streams).toHaveLength(1);
    expect((await events(['streams', '--prefix', 'cart-1', '--json'])).json().streams).toHaveLength(1);
  });

  it('reads a stream', async () => {
    const lines = (await events(['read', 'cart-1', '--json'])).lines();
    expect(lines).toHaveLength(3);
    expect(lines[1]).toEqual({
      globalPosition: expect.stringMatching(/^\d+$/),
      streamName: 'cart-1',
      streamPosition: '2',
      type: 'Added',
      data: { sku: 'b' },
      metadata: { by: 'ada' },
      messageId: expect.any(String),
      createdAt: expect.stringMatching(/Z$/),
      partition: 'emt:default',
    });
    const table = await events(['read', 'cart-1']);
    expect(table.out.split('\n')).toHaveLength(4);
    expect(table.out).toContain(String.raw`{"sku":"a","note":"two\nlines"}`);
    const types = async (...args: string[]): Promise<string[]> =>
      (await events(['read', 'cart-1', '--json', ...args])).lines<{ type: string }>().map(({ type }) => type);
    expect(await types('--from', '2')).toEqual(['Added', 'CheckedOut']);
    expect(await types('--to', '1')).toEqual(['Added']);
    expect(await types('--backwards', '--limit', '1')).toEqual(['CheckedOut']);
    expect(await events(['read', 'cart-1', '--from', '9'])).toMatchObject({
      code: 0,
      error: 'None of its 3 events are in this range.',
    });
  });

  it('reads the log', async () => {
    const all = (await events(['read', '--json'])).lines();
    expect(all.map(({ streamName }) => streamName)).toEqual(['cart-1', 'cart-1', 'cart-1', 'order-1']);
    const behind = await events(['read', '--json', '--after', all[2]!.globalPosition]);
    expect(behind.lines()).toHaveLength(1);
    expect(
      (await events(['read', '--json', '--type', 'Placed', '--type', 'CheckedOut'])).lines(),
    ).toHaveLength(2);
    expect((await events(['read', '--json', '--category', 'order'])).lines()).toHaveLength(1);
    expect((await events(['read', '--limit', '2'])).out.split('\n')).toHaveLength(3);
  });

  it('says that a stream is not there', async () => {
    for (const name of ['nope', 'cart-2']) {
      expect(await events(['read', name])).toMatchObject({
        code: 4,
        error: `nestbox: There is no stream "${name}".`,
      });
    }
  });

  it('cuts its table to the width of the terminal, and nothing in a pipe', async () => {
    await store.appendToStream('long-1', [{ type: 'Said', data: { text: '語'.repeat(100) } }]);
    const narrow = await events(['read', 'long-1'], { columns: 60 });
    const [, line] = narrow.out.split('\n');
    expect(line).toMatch(/語…$/);
    expect(line!.replaceAll('語', 'xx').length).toBeLessThanOrEqual(60);
    expect((await events(['read', 'long-1'])).out).toContain('語'.repeat(100));
  });

  it.each([
    [['read', 'cart-1', '--after', '1'], '--after is for the events of the log; leave the stream out'],
    [['read', '--backwards'], '--backwards is for the events of a stream; name one'],
    [
      ['read', 'cart-1', '--from', 'x'],
      '--from must be a whole number from 0 to 9223372036854775807, not "x"',
    ],
    [['read', '--limit', '0'], '--limit must be a whole number from 1 to'],
    [['tail', '--after', '1', '--from-beginning'], '--after and --from-beginning exclude each other'],
    [['tail', '--interval', 'soon'], '--interval must be a length of time such as 90s'],
    [['read', 'a', 'b'], 'too many arguments'],
  ])('refuses %j', async (args, problem) => {
    const { code, error } = await events(args);
    expect(code).toBe(2);
    expect(error).toContain(problem);
  });
});

describe('nestbox events tail', () => {
  it('prints what is appended, in order, until it is interrupted', async () => {
    const controller = new AbortController();
    const seen: { type: string; data: { n: number } }[] = [];
    const tail = events(['tail', '--json', '--interval', '20ms', '--category', 'tailed'], {
      signal: controller.signal,
      onOut: (line) => seen.push(JSON.parse(line) as (typeof seen)[number]),
    });
    // It begins with the next event, whenever that is.
    await eventually(async () => {
      await store.appendToStream('tailed-1', [{ type: 'Start', data: { n: 0 } }]);
      return seen.length > 0;
    });
    const before = seen.length;
    for (let n = 1; n <= 50; n++)
      await store.appendToStream(`tailed-${n % 3}`, [{ type: 'Next', data: { n } }]);
    await store.appendToStream('other-1', [{ type: 'Next', data: { n: 0 } }]);
    await eventually(() => seen.filter(({ type }) => type === 'Next').length === 50);
    expect(
      seen
        .slice(before)
        .filter(({ type }) => type === 'Next')
        .map(({ data }) => data.n),
    ).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
    controller.abort();
    expect(await tail).toMatchObject({ code: 0, error: '' });
  });

  it('begins where it is told, and ends after --limit events', async () => {
    await store.appendToStream(
      'counted-1',
      [1, 2, 3].map((n) => ({ type: 'Counted', data: { n } })),
    );
    const ran = await events(['tail', '--from-beginning', '--stream', 'counted-1', '--limit', '2']);
    expect(ran.code).toBe(0);
    expect(ran.error).toBe('Behind position 0; Ctrl-C ends it.');
    expect(ran.out.split('\n').map((line) => line.split('  ').slice(2))).toEqual([
      ['counted-1@1', 'Counted', '{"n":1}'],
      ['counted-1@2', 'Counted', '{"n":2}'],
    ]);
    const typed = await events(['tail', '--after', '0', '--type', 'Counted', '--limit', '3', '--json']);
    expect(typed.lines().map(({ data }) => data.n)).toEqual([1, 2, 3]);
  });

  it('goes on after its connections were cut, and leaves nothing out', async () => {
    const admin = new Postgres(database.url);
    const controller = new AbortController();
    const seen: number[] = [];
    const tail = events(['tail', '--from-beginning', '--json', '--interval', '10ms', '--category', 'cut'], {
      signal: controller.signal,
      onOut: (line) => seen.push((JSON.parse(line) as { data: { n: number } }).data.n),
    });
    try {
      let n = 0;
      for (let round = 0; round < 5; round++) {
        for (let i = 0; i < 4; i++) await store.appendToStream('cut-1', [{ type: 'Cut', data: { n: ++n } }]);
        await eventually(() => seen.length >= n - 4 * (round % 2));
        await admin.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
            where application_name = 'nestbox-cli' and datname = current_database()`,
        );
      }
      await eventually(() => seen.length === n);
      expect(seen).toEqual(Array.from({ length: n }, (_, i) => i + 1));
    } finally {
      controller.abort();
      expect((await tail).code).toBe(0);
      await admin.close();
    }
  });
});
