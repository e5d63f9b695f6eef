import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort, testDatabase, type TestDatabase } from '@nestbox/testing';
import { runCommand } from '../migrations/run.js';

const ROOT = join(import.meta.dirname, '..');
const MAIN = join(ROOT, 'migrations', 'dist', 'migrations', 'main.js');
const start = promisify(execFile);
/** TypeScript is compiled first. */
const BUILD_MS = 120_000;

let database: TestDatabase;
beforeEach(async () => {
  database = await testDatabase();
});
afterEach(() => database.drop());

async function command(
  args: readonly string[],
  env: NodeJS.ProcessEnv = { DATABASE_URL: database.url },
): Promise<{ code: number; out: string[]; errors: string[] }> {
  const [out, errors]: [string[], string[]] = [[], []];
  const output = { out: (line: string) => out.push(line), error: (line: string) => errors.push(line) };
  return { code: await runCommand(args, env, output), out, errors };
}

describe('the migration scripts', () => {
  it('show, run and revert', async () => {
    const pending = await command(['show']);
    expect(pending).toMatchObject({ code: 0, errors: [] });
    expect(pending.out.length).toBeGreaterThan(5);
    expect(pending.out.every((line) => line.startsWith('[ ] '))).toBe(true);
    const names = pending.out.map((line) => line.slice('[ ] '.length));
    expect(await command(['revert'])).toEqual({ code: 0, out: ['nothing was applied'], errors: [] });

    const applied = await command(['run']);
    expect(applied).toEqual({ code: 0, out: names.map((name) => `applied ${name}`), errors: [] });
    expect(await command(['run'])).toEqual({ code: 0, out: ['nothing is pending'], errors: [] });
    expect((await command(['show'])).out).toEqual(names.map((name) => `[X] ${name}`));

    const last = names.at(-1)!;
    expect(await command(['revert'])).toEqual({ code: 0, out: [`reverted ${last}`], errors: [] });
    expect((await command(['show'])).out.at(-1)).toBe(`[ ] ${last}`);
  });

  it('say in one line what is wrong', async () => {
    expect(await command(['run'], {})).toEqual({
      code: 2,
      out: [],
      errors: ['migration: set DATABASE_URL, such as postgres://localhost/shop.'],
    });
    expect(await command(['sow'])).toMatchObject({
      code: 2,
      errors: ['migration: say one of run, revert, show, and nothing else.'],
    });
    const port = await freePort();
    const away = await command(['show'], { DATABASE_URL: `postgres://127.0.0.1:${port}/shop` });
    expect(away).toMatchObject({ code: 1, out: [] });
    expect(away.errors).toEqual([expect.stringContaining('ECONNREFUSED')]);
    expect((await command(['show'], { DATABASE_URL: 'nonsense' })).errors).toHaveLength(1);
  });

  it(
    'are what npm runs',
    async () => {
      const env = { ...process.env, DATABASE_URL: database.url };
      const { stdout } = await start('npm', ['run', '--silent', 'migration:run'], { cwd: ROOT, env });
      expect(stdout).toContain('applied CreateNestbox1763700000001\n');
      const built = (name: string, url = database.url) =>
        start(process.execPath, [MAIN, name], { env: { ...process.env, DATABASE_URL: url } });
      expect((await built('show')).stdout).not.toContain('[ ]');
      expect((await built('revert')).stdout).toMatch(/^reverted /);
      expect(await built('run', '').catch((error: unknown) => error)).toMatchObject({
        code: 2,
        stdout: '',
        stderr: 'migration: set DATABASE_URL, such as postgres://localhost/shop.\n',
      });
      const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
        scripts: Record<string, string>;
      };
      for (const name of ['revert', 'show']) {
        expect(scripts[`migration:${name}`]).toBe(scripts['migration:run']!.replace(/run$/, name));
      }
    },
    BUILD_MS,
  );
});
