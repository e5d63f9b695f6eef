import { jest } from '@jest/globals';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { testDatabase, testRedis, type TestDatabase } from '@nestbox/testing';
import { run, type Ran } from './support/command.js';

// Many commands, or processes of their own, which take a while on a busy machine.
jest.setTimeout(90_000);

/** The commands below a word, as its help lists them. */
async function listed(...path: string[]): Promise<string[]> {
  const { out } = await run([...path, '--help']);
  const [, section = ''] = /\nCommands:\n((?: {2}.*\n?)*)/.exec(out) ?? [];
  return [...section.matchAll(/^ {2}([a-z]\S*)/gm)].map(([, name]) => name!);
}

/** Every command with arguments that are in order. */
const COMMANDS: readonly (readonly string[])[] = [
  ['migrate', 'run'],
  ['migrate', 'status'],
  ['kv', 'get', 'a'],
  ['kv', 'set', 'a', '1'],
  ['kv', 'list'],
  ['kv', 'delete', 'a', '--yes'],
  ['kv', 'export'],
  ['kv', 'import', '--yes'],
  ['kv', 'backup'],
  ['kv', 'backups'],
  ['kv', 'restore', 'a', '--yes'],
  ['kv', 'stats'],
  ['events', 'streams'],
  ['events', 'read'],
  ['events', 'tail'],
  ['projections', 'list'],
  ['projections', 'parked'],
  ['projections', 'replay', 'a'],
  ['projections', 'drop', 'a', '--yes'],
  ['projections', 'reset', 'a', '--yes'],
  ['projections', 'rebuild', 'a', '--app', 'libs/cli/test/fixtures/projections.mjs', '--yes'],
  ['projections', 'pause', 'a'],
  ['projections', 'resume', 'a'],
  ['workflows', 'list'],
  ['workflows', 'show', 'a'],
  ['workflows', 'cancel', 'a', '--yes'],
  ['workflows', 'resume', 'a'],
  ['workflows', 'retry', 'a'],
  ['workflows', 'dead'],
  ['channels', 'list'],
  ['topics', 'list'],
];

const OF_A_STORE = COMMANDS.filter(([group]) => group !== 'migrate');
const ON_REDIS = OF_A_STORE.filter(
  ([group, name]) =>
    ['kv', 'channels', 'topics'].includes(group!) && !['backup', 'backups', 'restore'].includes(name!),
).map((command) => [...command, '--store', 'redis']);

const cwd = new URL('../../..', import.meta.url).pathname;
const input = '';

it('has no command that is not tried here', async () => {
  const groups = await listed();
  const all: string[][] = [];
  for (const group of groups) {
    const names = await listed(group);
    if (names.length === 0) all.push([group]);
    for (const name of names) all.push([group, name]);
  }
  const tried = [['migrate', 'sql'], ['doctor'], ...COMMANDS.map((command) => command.slice(0, 2))];
  expect(all.map(String).sort()).toEqual(tried.map(String).sort());
});

describe('help', () => {
  it('is printed at every level, with examples that are commands', async () => {
    for (const path of [...COMMANDS.map((command) => command.slice(0, 2)), ['migrate', 'sql'], ['doctor']]) {
      const help = await run([...path, '--help']);
      expect(help).toMatchObject({ code: 0, error: '' });
      expect(help.out).toMatch(new RegExp(`^Usage: nestbox ${path.join(' ')} `));
      const [, examples = ''] = /\nExamples:\n([^]*)$/.exec(help.out) ?? [];
      expect(examples).toContain(`nestbox ${path.join(' ')}`);
      for (const option of ['--url', '--redis-url', '--config', '--json', '--help'])
        expect(help.out).toContain(option);
      expect(await run(['help', ...path])).toMatchObject({ code: 0, out: help.out });
    }
    for (const path of [[], ['kv'], ['workflows'], ['channels']]) {
      const help = await run([...path, '-h']);
      expect(help).toMatchObject({ code: 0, error: '' });
      expect(help.out).toMatch(/^Usage: nestbox /);
    }
    expect((await run([])).out).toBe((await run(['--help'])).out);
    expect((await run(['--help'])).out).toMatch(
      /\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 [^]*, 4 [^]*exist$/,
    );
  });

  it('fits the terminal', async () => {
    const { out } = await run(['kv', 'import', '--help'], { columns: 80 });
    const [text] = out.split('\nExamples:');
    for (const line of text!.split('\n').slice(1)) expect(line.length).toBeLessThanOrEqual(80);
  });

  it('tells the version', async () => {
    const { version } = (await import('../package.json', { with: { type: 'json' } })).default as {
      version: string;
    };
    expect(await run(['--version'])).toMatchObject({ code: 0, out: version });
  });
});

describe('wrong usage', () => {
  it.each([
    [['migarte'], 'unknown command "migarte"; did you mean migrate?', ''],
    [['doctr'], 'unknown command "doctr"; did you mean doctor?', ''],
    [['xyzzy'], 'unknown command "xyzzy"; nestbox --help lists all', ''],
    [['--vresion'], 'unknown option "--vresion"; did you mean --version?', ''],
    [
      ['kv'],
      'nestbox kv needs get, set, list, delete, export, import, backup, backups, restore or stats, not nothing',
      'kv',
    ],
    [['kv', 'lst', '--prefix', 'a'], 'not "lst"; did you mean list?', 'kv'],
    [['channels'], 'nestbox channels needs list, not nothing', 'channels'],
    [['kv', 'get'], 'missing required argument "key"', 'kv get'],
    [['kv', 'get', 'a', 'b'], 'too many arguments', 'kv get'],
    [['kv', 'set', 'a'], 'missing required argument "value"', 'kv set'],
    [
      ['kv', 'set', 'a', 'dark'],
      `the value is not JSON; put a text in quotes ('"dark"'), or pass --string`,
      'kv set',
    ],
    [
      ['kv', 'set', 'a', '1', '--ttl', '0s'],
      '--ttl must be a length of time such as 90s, 10m or 7d, not "0s"',
      'kv set',
    ],
    [
      ['kv', 'set', 'a', '1', '--if-version', 'x'],
      '--if-version must be a version or absent, not "x"',
      'kv set',
    ],
    [['kv', 'list', '--limit'], 'option "--limit <n>" argument missing', 'kv list'],
    [
      ['kv', 'list', '--limit', '1e3'],
      '--limit must be a whole number from 1 to 10000, not "1e3"',
      'kv list',
    ],
    [['kv', 'list', '--store', 'mysql'], '--store must be postgres or redis, not "mysql"', 'kv list'],
    [
      ['workflows', 'list', '--stauts', 'dead'],
      'unknown option "--stauts"; did you mean --status?',
      'workflows list',
    ],
    [
      ['migrate', 'run', '--lib', 'kvv'],
      'unknown lib "kvv"; did you mean kv?; known are: postgres, kv',
      'migrate run',
    ],
  ])('%j is one clear line, and one that names the help', async (args, problem, path) => {
    const { code, out, error } = await run(args, { env: { DATABASE_URL: 'postgres://127.0.0.1:1/nowhere' } });
    expect({ code, out }).toEqual({ code: 2, out: '' });
    const [first, second, ...more] = error.split('\n');
    expect(first).toMatch(/^nestbox: /);
    expect(first).toContain(problem);
    expect(second).toBe(`Run nestbox ${path === '' ? '' : `${path} `}--help for the usage.`);
    expect(more).toEqual([]);
  });

  it.each(['postgres://nestbox:nestbox@127.0.0.1:1/nestbox', 'postgres://postgres:postgres@127.0.0.1:1/app'])(
    'is told without holes where the password of %s is a word of the sentence',
    async (url) => {
      const { error } = await run(['kv', 'list', '--store', 'mysql'], { env: { DATABASE_URL: url } });
      expect(error).toMatch(/^nestbox: --store must be postgres or redis, not "mysql"\n/);
      const { error: away } = await run(['migrate', 'run', '--url', url]);
      expect(away).toMatch(
        /^nestbox: cannot connect to PostgreSQL at 127.0.0.1:1, database "(nestbox|app)": /,
      );
    },
  );

  it.each([
    ['2030-02-31', false],
    ['2030', false],
    ['2030-01-31T25:00Z', false],
    ['31.1.2030', false],
    ['2030-01', true],
    ['2030-01-31 12:00', true],
    ['2030-01-31T12:00:00.5+02:00', true],
  ])('of a time, %s, is refused (%s)', async (text, isTime) => {
    const { error } = await run(['workflows', 'list', '--from', text]);
    expect(error).toContain(isTime ? 'no database is given' : '--from must be a time such as');
  });

  it('of names is refused before anything is asked of the server', async () => {
    const database = await testDatabase();
    try {
      const env = { DATABASE_URL: database.url };
      await run(['migrate', 'run'], { env });
      for (const args of [
        ['kv', 'get', 'x'.repeat(600)],
        ['kv', 'get', ''],
        ['kv', 'get', 'a\0b'],
        ['kv', 'list', '--table', ''],
        ['events', 'read', 'x'.repeat(600)],
        ['workflows', 'show', ''],
        ['channels', 'list', '--cursor', '!'],
      ]) {
        const ran = await run(args, { env });
        expect({ args, code: ran.code, error: ran.error }).toEqual({
          args,
          code: 2,
          error: expect.stringMatching(/^nestbox: Invalid [^\n]*$/),
        });
      }
    } finally {
      await database.drop();
    }
  });
});

function expectOneLine({ code, out, error }: Ran, args: readonly string[]): void {
  expect({ args, code, out }).toEqual({ args, code: 1, out: '' });
  expect(error).toMatch(/^nestbox: [^\n]+$/);
  expect(error).not.toMatch(/hunter2|\n\s+at /);
}

describe('without a server', () => {
  it('every command says in one line that PostgreSQL cannot be reached', async () => {
    const env = { DATABASE_URL: 'postgres://ada:hunter2@127.0.0.1:1/shop' };
    for (const args of COMMANDS) {
      const ran = await run(args, { env, cwd, input });
      expectOneLine(ran, args);
      expect(ran.error).toContain(
        'cannot connect to PostgreSQL at 127.0.0.1:1, database "shop": connect ECONNREFUSED',
      );
    }
  });

  it('every command says in one line that Redis cannot be reached', async () => {
    const env = { REDIS_URL: 'redis://ada:hunter2@127.0.0.1:1' };
    for (const args of ON_REDIS) {
      const ran = await run(args, { env, cwd, input });
      expectOneLine(ran, args);
      expect(ran.error).toContain('cannot connect to Redis at 127.0.0.1:1: ');
    }
  });

  describe('that answers', () => {
    let silent: Server;
    const sockets = new Set<Socket>();

    beforeAll(async () => {
      silent = createServer((socket) => void sockets.add(socket.on('error', () => undefined)));
      await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    });

    afterAll(() => {
      for (const socket of sockets) socket.destroy();
      silent.close();
    });

    it.each([['postgres'], ['redis']])('a command gives up (%s)', async (store) => {
      const { port } = silent.address() as AddressInfo;
      const env = {
        DATABASE_URL: `postgres://ada:hunter2@127.0.0.1:${port}/shop`,
        REDIS_URL: `redis://ada:hunter2@127.0.0.1:${port}`,
      };
      const args = ['kv', 'stats', '--store', store];
      const ran = await run(args, { env });
      expectOneLine(ran, args);
      expect(ran.error).toContain('cannot connect to ');
    });
  });

  it('a database that Redis does not have is not taken for the first one', async () => {
    const { url } = await testRedis();
    const place = new URL(url);
    place.pathname = '/987654321';
    const args = ['kv', 'set', 'a', '1', '--store', 'redis', '--key-prefix', 'test_nowhere'];
    const ran = await run(args, { env: { REDIS_URL: place.href } });
    expectOneLine(ran, args);
    expect(ran.error).toContain('DB index is out of range');
  });

  it('a wrong password is one line without it', async () => {
    const database = await testDatabase();
    try {
      const url = new URL(database.url);
      url.username = 'nobody_at_all';
      url.password = 'hunter2';
      const args = ['kv', 'stats', '--url', url.href];
      expectOneLine(await run(args), args);
    } finally {
      await database.drop();
    }
  });
});

describe('without a schema', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await testDatabase();
  });

  afterAll(() => database.drop());

  it('every command says which command creates it, and creates nothing', async () => {
    for (const args of OF_A_STORE) {
      const ran = await run(args, { env: { DATABASE_URL: database.url }, cwd, input });
      expectOneLine(ran, args);
      const lib = {
        kv: 'kv',
        events: 'event-store',
        projections: 'event-store',
        workflows: 'workflows',
        channels: 'channels',
        topics: 'channels',
      }[args[0]!];
      expect(ran.error).toContain(`There is no schema of ${lib} at `);
      expect(ran.error).toMatch(new RegExp(`Create it: nestbox migrate run --lib ${lib}$`));
    }
    const { out } = await run(['migrate', 'status'], { env: { DATABASE_URL: database.url } });
    for (const line of out.split('\n')) expect(line).toContain('version 0 of 1');
  });

  it('names the schema that was meant', async () => {
    const env = { DATABASE_URL: database.url };
    expect((await run(['events', 'streams', '--schema', 'it is'], { env })).error).toMatch(
      /Create it: nestbox migrate run --lib event-store --schema 'it is'$/,
    );
    expect((await run(['kv', 'list', '--schema', 'a', '--table', 'b'], { env })).error).toMatch(
      /Create it: nestbox migrate run --lib kv --schema a --table b$/,
    );
  });
});
