import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '../..');

/**
 * Packs libraries as `npm publish` would, into tarballs in a folder.
 *
 * @param folder where the tarballs are put
 * @param names packages such as `@nestbox/kv`, packed with all that they depend on; by default every library
 * @returns the path of each tarball, by the name of its package
 * @throws Error when a library is not built
 */
export async function packLibs(folder: string, names?: readonly string[]): Promise<Map<string, string>> {
  const libs = names ? await withDependencies(names) : await readdir(join(root, 'libs'));
  for (const lib of libs) {
    if (!existsSync(join(root, 'libs', lib, 'dist/index.js')))
      throw new Error(`libs/${lib} is not built. Run 'npm run build'.`);
  }
  const workspaces = libs.flatMap((lib) => ['--workspace', `libs/${lib}`]);
  const options = ['--json', '--ignore-scripts', '--pack-destination', folder, ...workspaces];
  const { stdout } = await promisify(execFile)('npm', ['pack', ...options], { cwd: root });
  const packed = Object.values(JSON.parse(stdout) as Record<string, { name: string; filename: string }>);
  return new Map(packed.map(({ name, filename }) => [name, join(folder, filename)]));
}

/** The folders of libraries, and of the libraries that these depend on. */
async function withDependencies(names: readonly string[]): Promise<string[]> {
  const libs = new Set<string>();
  const waiting = [...names];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    const lib = name.replace('@nestbox/', '');
    if (libs.has(lib)) continue;
    libs.add(lib);
    const { dependencies = {} } = JSON.parse(
      await readFile(join(root, 'libs', lib, 'package.json'), 'utf8'),
    ) as { dependencies?: Record<string, string> };
    waiting.push(...Object.keys(dependencies).filter((dependency) => dependency.startsWith('@nestbox/')));
  }
  return [...libs];
}
