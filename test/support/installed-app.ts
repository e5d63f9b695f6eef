import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');

export interface InstalledAppOptions {
  /** Where it is put; not in the project, which would lend it its packages. */
  path: string;
  /** The file in test/fixtures/packaging that becomes its `src/main.ts`. */
  source: string;
  type: 'module' | 'commonjs';
  /** Paths of tarballs, by the names of their packages. */
  libs: ReadonlyMap<string, string>;
  dependencies: Readonly<Record<string, string>>;
}

/** An application in a folder of its own, with the packed libraries from their tarballs, as a user would have it. */
export class InstalledApp {
  private constructor(readonly path: string) {}

  static async install(options: InstalledAppOptions): Promise<InstalledApp> {
    const app = new InstalledApp(options.path);
    await mkdir(join(app.path, 'src'), { recursive: true });
    await copyFile(join(root, 'test/fixtures/packaging', options.source), join(app.path, 'src/main.ts'));
    const packed = Object.fromEntries([...options.libs].map(([name, tarball]) => [name, `file:${tarball}`]));
    await app.write('package.json', {
      name: 'app',
      private: true,
      type: options.type,
      dependencies: { ...packed, ...options.dependencies },
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

  /** The version of a package that was installed. */
  async versionOf(packageName: string): Promise<string> {
    const manifest = await readFile(join(this.path, 'node_modules', packageName, 'package.json'), 'utf8');
    return (JSON.parse(manifest) as { version: string }).version;
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

/** The folders that a package was loaded from. */
export function copiesOf(packageName: string, loaded: readonly string[]): string[] {
  const marker = join('node_modules', packageName, '/');
  const folders = loaded.flatMap((path) => {
    const at = path.lastIndexOf(marker);
    return at === -1 ? [] : [path.slice(0, at + marker.length - 1)];
  });
  return [...new Set(folders)];
}
