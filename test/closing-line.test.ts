import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const passing = `test('one', () => {}); test('two', () => {});`;

/** Runs Jest over some files in a folder of their own; gives the last line of its output and its exit code. */
function runJest(files: Record<string, string>, ...args: string[]): { last: string; status: number | null } {
  const folder = mkdtempSync(join(tmpdir(), 'nestbox-closing-line-'));
  try {
    const config = {
      rootDir: folder,
      transform: {},
      reporters: ['default', join(root, 'test/setup/closing-line-reporter.mjs')],
    };
    for (const [name, text] of Object.entries({ ...files, 'jest.config.json': JSON.stringify(config) })) {
      writeFileSync(join(folder, name), text);
    }
    const jest = join(root, 'node_modules/jest/bin/jest.js');
    // As one stream, as a terminal shows it.
    const command = `"${process.execPath}" "${jest}" -c jest.config.json ${args.join(' ')} 2>&1`;
    const { stdout, status } = spawnSync(command, { cwd: folder, shell: true, encoding: 'utf8' });
    return { last: stdout.trimEnd().split('\n').at(-1) ?? '', status };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe('the closing line of a test run', () => {
  it('counts what passed', () => {
    expect(runJest({ 'a.test.js': passing })).toEqual({ last: '2 passed, 0 failed', status: 0 });
  });

  it('counts what failed and what was skipped', () => {
    const mixed = `test('bad', () => { throw new Error('bad'); }); test.skip('later', () => {}); test.todo('some day');`;
    expect(runJest({ 'a.test.js': passing, 'b.test.js': mixed })).toEqual({
      last: '2 passed, 1 failed, 2 skipped',
      status: 1,
    });
  });

  it.each([
    ['a file that cannot be loaded', { 'a.test.js': passing, 'b.test.js': `throw new Error('broken');` }, []],
    [
      'a hook after all tests',
      { 'a.test.js': `${passing} afterAll(() => { throw new Error('bad'); });` },
      [],
    ],
    [
      'the global teardown',
      { 'a.test.js': passing, 'down.js': `module.exports = () => { throw new Error('bad'); };` },
      ['--globalTeardown=./down.js'],
    ],
  ])('counts the failure of %s', (_, files, args) => {
    expect(runJest(files, ...args)).toEqual({ last: '2 passed, 1 failed', status: 1 });
  });

  it('says that something failed when the run ends before its time', () => {
    const { last, status } = runJest({ 'a.test.js': `test('one', () => process.exit(3));` });
    expect(last).toMatch(/^0 passed, 1 failed$/);
    expect(status).toBe(3);
  });
});
