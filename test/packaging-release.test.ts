import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, readdir, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** A release, up to what would be published, in a clone of a repository that has the project's manifests. */

const run = promisify(execFile);
const root = join(import.meta.dirname, '..');
const RELEASE_MS = 120_000;

interface Manifest {
  name: string;
  version: string;
  dependencies?: Record<string, string>;
  repository?: object;
}

let folder: string;
let clone: string;

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'nestbox-release-')));
  const origin = join(folder, 'origin');
  for (const file of [
    'package.json',
    'package-lock.json',
    'CHANGELOG.md',
    '.gitignore',
    '.changeset',
    'scripts',
  ]) {
    await cp(join(root, file), join(origin, file), { recursive: true });
  }
  for (const kind of ['libs', 'apps']) {
    for (const one of await readdir(join(root, kind))) {
      const manifest = join(kind, one, 'package.json');
      await cp(join(root, manifest), join(origin, manifest));
    }
  }
  await git(origin, 'init', '--quiet', '--initial-branch=main');
  await git(origin, 'add', '.');
  await git(origin, 'commit', '--quiet', '--message=Begin');
  clone = join(folder, 'clone');
  await git(folder, 'clone', '--quiet', `file://${origin}`, clone);
  await symlink(join(root, 'node_modules'), join(clone, 'node_modules'));
  // A folder is ignored, and a link to one is not.
  await writeFile(join(clone, '.git/info/exclude'), 'node_modules\n');
}, RELEASE_MS);

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function git(cwd: string, ...args: string[]): Promise<string> {
  const settings = ['user.name=Somebody', 'user.email=somebody@example.com', 'commit.gpgsign=false'];
  const { stdout } = await run('git', [...settings.flatMap((setting) => ['-c', setting]), ...args], { cwd });
  return stdout;
}

async function changeset(...args: string[]): Promise<{ code: number; said: string }> {
  const bin = join(root, 'node_modules/@changesets/cli/bin.js');
  return run(process.execPath, [bin, ...args], { cwd: clone }).then(
    ({ stdout, stderr }) => ({ code: 0, said: stdout + stderr }),
    (error: { code: number; stdout: string; stderr: string }) => ({
      code: error.code,
      said: error.stdout + error.stderr,
    }),
  );
}

async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await readFile(join(clone, path), 'utf8')) as T;
}

async function manifests(): Promise<Manifest[]> {
  const libs = (await readdir(join(clone, 'libs'))).map((lib) => `libs/${lib}`);
  const apps = (await readdir(join(clone, 'apps'))).map((app) => `apps/${app}`);
  return Promise.all([...libs, ...apps].map((path) => readJson<Manifest>(`${path}/package.json`)));
}

describe('a release', () => {
  it(
    'needs nothing while nothing has changed, and a changeset afterwards',
    async () => {
      expect(await changeset('status')).toMatchObject({ code: 0 });

      await git(clone, 'switch', '--quiet', '--create', 'change');
      await writeFile(join(clone, 'libs/kv/README.md'), '# Changed\n');
      await git(clone, 'add', '.');
      await git(clone, 'commit', '--quiet', '--message=Change');
      // As on CI, which has no main of its own.
      await git(clone, 'branch', '--quiet', '--delete', '--force', 'main');
      expect(await changeset('status', '--since=origin/main')).toMatchObject({
        code: 1,
        said: expect.stringContaining('no changesets were found') as string,
      });

      const text = `---\n'@nestbox/kv': minor\n---\n\nThe store can do more.\n`;
      await writeFile(join(clone, '.changeset/kind-owls.md'), text);
      await git(clone, 'add', '.');
      await git(clone, 'commit', '--quiet', '--message=Say what it means');
      expect(await changeset('status', '--since=origin/main')).toMatchObject({ code: 0 });
    },
    RELEASE_MS,
  );

  it(
    'raises all versions, the ranges between them, the lockfile and the changelog together',
    async () => {
      const [{ version: before }] = (await manifests()) as [Manifest, ...Manifest[]];
      const [major, minor] = before.split('.').map(Number) as [number, number];
      const next = `${major}.${minor + 1}.0`;

      await run('npm', ['run', '--silent', 'version'], { cwd: clone });

      const after = await manifests();
      expect(new Set(after.map(({ version }) => version))).toEqual(new Set([next]));
      const lock = await readJson<{ version: string; packages: Record<string, Manifest> }>(
        'package-lock.json',
      );
      expect([lock.version, (await readJson<Manifest>('package.json')).version]).toEqual([next, next]);
      for (const { name, dependencies = {}, version } of after) {
        const ours = Object.entries(dependencies).filter(([one]) => one.startsWith('@nestbox/'));
        expect(ours.filter(([, range]) => range !== `^${next}`)).toEqual([]);
        const locked = Object.values(lock.packages).find((entry) => entry.name === name)!;
        expect({ name, version: locked.version, dependencies: locked.dependencies ?? {} }).toEqual({
          name,
          version,
          dependencies,
        });
      }
      const changelog = await readFile(join(clone, 'CHANGELOG.md'), 'utf8');
      expect(changelog).toMatch(
        new RegExp(
          `^## \\[Unreleased\\]\n\n## \\[${next.replaceAll('.', '\\.')}\\] - \\d{4}-\\d\\d-\\d\\d\n`,
          'm',
        ),
      );
      expect(await readdir(join(clone, '.changeset'))).toEqual(['README.md', 'config.json']);
    },
    RELEASE_MS,
  );

  it(
    'changes nothing when it is made again',
    async () => {
      await git(clone, 'add', '.');
      await git(clone, 'commit', '--quiet', '--message=Release');
      await run('npm', ['run', '--silent', 'version'], { cwd: clone });
      expect(await git(clone, 'status', '--porcelain')).toBe('');
    },
    RELEASE_MS,
  );

  it('has the address of the repository that it is made in, and is not made without one', async () => {
    const script = join(clone, 'scripts/name-repository.mjs');
    const env = { PATH: process.env['PATH'] };
    await expect(run(process.execPath, [script], { env })).rejects.toMatchObject({
      stderr: expect.stringContaining('GITHUB_REPOSITORY') as string,
    });

    const github = { GITHUB_SERVER_URL: 'https://git.example', GITHUB_REPOSITORY: 'somebody/boxes' };
    await run(process.execPath, [script], { env: { ...env, ...github } });
    expect(await readJson<Manifest>('libs/kv/package.json')).toMatchObject({
      repository: { type: 'git', url: 'git+https://git.example/somebody/boxes.git', directory: 'libs/kv' },
      homepage: 'https://git.example/somebody/boxes/tree/main/libs/kv#readme',
      bugs: { url: 'https://git.example/somebody/boxes/issues' },
    });
  });
});
