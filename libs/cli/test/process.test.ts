import { jest } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEventStore } from '@nestbox/event-store';
import { KeyValueStore, PostgresAdapter } from '@nestbox/kv';
import { testDatabase, testRedis, type TestDatabase } from '@nestbox/testing';
import { MAIN, TerminalSession, runBuilt } from './support/built.js';

// Many commands, or processes of their own, which take a while on a busy machine.
jest.setTimeout(90_000);

let database: TestDatabase;
let env: Record<string, string>;
let store: KeyValueStore;
let folder: string;

beforeAll(async () => {
  database = await testDatabase();
  env = { DATABASE_URL: database.url, REDIS_URL: (await testRedis()).url };
  folder = await mkdtemp(join(tmpdir(), 'nestbox-cli-'));
  await runBuilt(['migrate', 'run'], { env });
  store = new KeyValueStore({ adapter: new PostgresAdapter({ connectionString: database.url }) });
});

afterAll(async () => {
  await store.close();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

beforeEach(() => store.clear());

describe('the built command, with pipes', () => {
  it('prints, and exits with its code', async () => {
    expect(await runBuilt(['kv', 'set', 'a', '{"n":1}'], { env })).toEqual({
      code: 0,
      stdout: '"a" is at version 1\n',
      stderr: '',
    });
    expect(await runBuilt(['kv', 'get', 'a', '--json'], { env })).toMatchObject({ code: 0, stderr: '' });
    expect(await runBuilt(['kv', 'get', 'b'], { env })).toEqual({
      code: 4,
      stdout: '',
      stderr: 'nestbox: There is no key "b" in public.kv_store.\n',
    });
    expect(await runBuilt(['kv', 'delete', 'a'], { env })).toMatchObject({ code: 2, stdout: '' });
    expect(await runBuilt(['doctor', '--json'], { env })).toMatchObject({ code: 3, stderr: '' });
    expect((await runBuilt([], { env })).stdout).toMatch(/^Usage: nestbox migrate/);
  });

  it('keeps no process alive, wherever it fails', async () => {
    const nowhere = {
      DATABASE_URL: 'postgres://ada:hunter2@127.0.0.1:1/shop',
      REDIS_URL: 'redis://:hunter2@127.0.0.1:1',
    };
    for (const args of [
      ['kv', 'stats'],
      ['kv', 'stats', '--store', 'redis'],
      ['channels', 'list', '--store', 'redis'],
    ]) {
      const { code, stdout, stderr } = await runBuilt(args, { env: nowhere });
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(/^nestbox: cannot connect to [^\n]*\n$/);
      expect(stderr).not.toContain('hunter2');
    }
  });

  it('takes in what it has put out, and cuts nothing', async () => {
    const entries = Array.from({ length: 3000 }, (_, i) => ({
      key: `key ${i} ü"\n`,
      value: 'v'.repeat(300),
    }));
    await store.setMany(entries);
    const { stdout, stderr } = await runBuilt(['kv', 'export'], { env });
    expect(stderr).toBe('Exported 3,000 entries of public.kv_store.\n');
    expect(stdout.match(/\n/g)).toHaveLength(3000);
    await store.clear();
    expect(await runBuilt(['kv', 'import'], { env, input: stdout })).toMatchObject({ code: 0 });
    expect((await store.stats()).count).toBe(3000);
    const listed = await runBuilt(['kv', 'list', '--limit', '5'], { env });
    expect(listed.stdout.split('\n')[1]).toContain('v'.repeat(300));
  });

  it('ends quietly when its reader has seen enough', async () => {
    await store.setMany(Array.from({ length: 3000 }, (_, i) => ({ key: `k${i}`, value: 'v'.repeat(300) })));
    for (const args of [
      ['kv', 'export'],
      ['events', 'tail', '--from-beginning', '--json'],
    ]) {
      const events = createEventStore(database.url);
      const many = Array.from({ length: 500 }, (_, n) => ({
        type: 'Said',
        data: { n, text: 'x'.repeat(500) },
      }));
      for (let i = 0; i < 3; i++) await events.appendToStream(`said-${i}`, many);
      await events.close();
      const child = spawn(process.execPath, [MAIN, ...args], {
        env: { PATH: process.env['PATH']!, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let stderr = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
      await once(child.stdout, 'data');
      child.stdout.destroy();
      const [code] = (await once(child, 'close')) as [number];
      expect({ args, code }).toEqual({ args, code: 0 });
      expect(stderr).not.toMatch(/EPIPE|Error|\n\s+at /);
    }
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('a tail ends in good order at %s', async (signal) => {
    const child = spawn(process.execPath, [MAIN, 'events', 'tail'], {
      env: { PATH: process.env['PATH']!, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    await once(child.stderr, 'data');
    child.kill(signal);
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(stderr).toMatch(/^Behind position \d+; Ctrl-C ends it\.\n$/);
  });
});

/** /dev/full is a thing of Linux. */
const describeLinux = process.platform === 'linux' ? describe : describe.skip;

describeLinux('the built command, on a full disk', () => {
  it('says that there is no room for its output', async () => {
    await store.setMany(Array.from({ length: 3000 }, (_, i) => ({ key: `k${i}`, value: 'v'.repeat(300) })));
    const full = await open('/dev/full', 'w');
    try {
      for (const args of [
        ['kv', 'export'],
        ['kv', 'list'],
      ]) {
        const child = spawn(process.execPath, [MAIN, ...args], {
          env: { PATH: process.env['PATH']!, ...env },
          stdio: ['ignore', full.fd, 'pipe'],
        });
        let stderr = '';
        child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text));
        const [code] = (await once(child, 'close')) as [number];
        expect({ args, code }).toEqual({ args, code: 1 });
        expect(stderr).toMatch(
          /^(There are more: .*\n)?nestbox: Cannot write .*: .*no space left on device.*\n$/,
        );
      }
    } finally {
      await full.close();
    }
  });
});

/** By script(1) as Linux has it; others have one with other options. */
const describeTerminal = process.platform === 'linux' ? describe : describe.skip;

describeTerminal('the built command, at a terminal', () => {
  const sessions: TerminalSession[] = [];

  function start(args: readonly string[], columns = 80): TerminalSession {
    const session = TerminalSession.start(args, { env, columns });
    sessions.push(session);
    return session;
  }

  afterEach(() => {
    for (const session of sessions.splice(0)) session.kill();
  });

  it.each([
    ['y', true],
    ['yes', true],
    ['n', false],
    ['', false],
    ['yep', false],
  ])('asks before it deletes; "%s" is %s', async (answer, isYes) => {
    await store.set('a', 1);
    const session = start(['kv', 'delete', 'a']);
    await session.waitFor('This deletes key "a" from public.kv_store. Go on? [y/N] ');
    session.type(`${answer}\r`);
    expect(await session.ended).toBe(isYes ? 0 : 1);
    expect(session.text).toContain(isYes ? 'Deleted 1 key.' : 'nestbox: Not confirmed; nothing was changed.');
    expect(await store.has('a')).toBe(!isYes);
  });

  it.each([
    ['Ctrl-C', '\u0003'],
    ['Ctrl-D', '\u0004'],
  ])('takes %s at the question for a no', async (_name, key) => {
    await store.set('a', 1);
    const session = start(['kv', 'delete', 'a']);
    await session.waitFor('[y/N] ');
    session.type(key);
    expect(await session.ended).toBe(1);
    expect(session.text).toContain('Not confirmed; nothing was changed.');
    expect(await store.has('a')).toBe(true);
  });

  it('fits its tables to the width', async () => {
    await store.set('a', 'long '.repeat(100));
    const session = start(['kv', 'list'], 70);
    expect(await session.ended).toBe(0);
    const lines = session.text.trimEnd().split('\r\n');
    expect(lines).toHaveLength(2);
    expect(lines[1]).toMatch(/…$/);
    expect(Math.max(...lines.map((line) => line.length))).toBe(70);
  });

  it('shows progress on a line of its own, which is gone at the end', async () => {
    await store.setMany(Array.from({ length: 2000 }, (_, i) => ({ key: `k${i}`, value: i })));
    const file = join(folder, 'shown.jsonl');
    const session = start(['kv', 'export', file]);
    expect(await session.ended).toBe(0);
    const parts = session.text.split('\r\u001B[K');
    expect(parts[0]).toMatch(/^Exporting \[[#.]{24}\] +\d+% {2}[\d,]+ of 2,000 entries$/);
    expect(parts.at(-1)).toBe(`Exported 2,000 entries of public.kv_store to ${file}.\r\n`);
    expect((await readFile(file, 'utf8')).trim().split('\n')).toHaveLength(2000);
  });

  it('ends a tail at Ctrl-C', async () => {
    const session = start(['events', 'tail']);
    await session.waitFor('Ctrl-C ends it.');
    session.type('\u0003');
    expect(await session.ended).toBe(0);
    expect(session.text).not.toMatch(/Error|\n\s+at /);
  });

  it('says that nothing is piped in', async () => {
    const session = start(['kv', 'import']);
    expect(await session.ended).toBe(2);
    expect(session.text).toContain('no file is given, and nothing is piped in');
  });
});
