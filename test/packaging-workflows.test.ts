import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

/** What runs elsewhere (GitHub, containers) is held to what stands here: the promises of the README, and the scripts. */

const root = join(import.meta.dirname, '..');

interface Step {
  uses?: string;
  run?: string;
  with?: Record<string, unknown>;
}

interface Job {
  strategy?: { matrix: Record<string, unknown[]> };
  services?: Record<string, { image: string }>;
  env?: Record<string, string>;
  permissions?: Record<string, string>;
  'timeout-minutes'?: number;
  steps: Step[];
}

interface Workflow {
  permissions: Record<string, string>;
  jobs: Record<string, Job>;
}

interface Compose {
  services: Record<string, { image?: string; healthcheck?: unknown }>;
}

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

function readYaml<T>(path: string): T {
  return parse(read(path)) as T;
}

const scripts = (JSON.parse(read('package.json')) as { scripts: Record<string, string> }).scripts;
const workflows = readdirSync(join(root, '.github/workflows')).map((file) => ({
  file,
  workflow: readYaml<Workflow>(`.github/workflows/${file}`),
}));

describe.each(workflows)('.github/workflows/$file', ({ workflow }) => {
  const jobs = Object.entries(workflow.jobs);
  const steps = jobs.flatMap(([, job]) => job.steps);

  it('runs only scripts that there are', () => {
    const commands = steps.flatMap(({ run, with: inputs }) => [
      run,
      inputs?.['version'],
      inputs?.['publish'],
    ]);
    const lines = commands.filter((command) => typeof command === 'string').join('\n');
    const named = [...lines.matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => name!);
    expect(named.filter((name) => scripts[name] === undefined)).toEqual([]);
    expect([...lines.matchAll(/^\.ci\/\w+/gm)].filter(([path]) => !existsSync(join(root, path)))).toEqual([]);
  });

  it('uses actions as they were when somebody looked at them', () => {
    const uses = steps.flatMap((step) => step.uses ?? []);
    expect(uses.length).toBeGreaterThan(0);
    expect(uses.filter((one) => !/^[\w-]+\/[\w-]+@[0-9a-f]{40}$/.test(one))).toEqual([]);
  });

  it('may do no more than it has to, and not for ever', () => {
    const writes = Object.entries(workflow.permissions).filter(([, right]) => right !== 'read');
    expect(writes).toEqual([]);
    expect(jobs.filter(([, job]) => job['timeout-minutes'] === undefined).map(([name]) => name)).toEqual([]);
  });
});

describe('the matrix', () => {
  const { jobs } = readYaml<Workflow>('.github/workflows/ci.yml');
  const readme = read('README.md');

  it('has every Node from the one that the README asks for', () => {
    const [, oldest] = /Node (\d+)\.\d+ or later/.exec(readme)!;
    const nodes = jobs['embedded']!.strategy!.matrix['node'] as number[];
    expect(nodes).toEqual([20, 22, 24]);
    expect(nodes[0]).toBe(Number(oldest));
    expect((JSON.parse(read('package.json')) as { engines: { node: string } }).engines.node).toMatch(
      new RegExp(`^>=${oldest}\\.`),
    );
  });

  it('has every PostgreSQL that the README promises', () => {
    const [, from, to] = /PostgreSQL (\d+) to (\d+)/.exec(readme)!;
    const promised = Array.from({ length: Number(to) - Number(from) + 1 }, (_, i) => Number(from) + i);
    expect(jobs['postgres']!.strategy!.matrix['postgres']).toEqual(promised);
    expect(jobs['postgres']!.env).toHaveProperty('TEST_DATABASE_URL');
  });

  it('has Redis 7 and 8, and Valkey', () => {
    const images = jobs['redis']!.strategy!.matrix['redis'] as string[];
    expect(images).toEqual(expect.arrayContaining(['redis:7', 'redis:8']));
    expect(images.some((image) => image.startsWith('valkey/valkey:'))).toBe(true);
    expect(jobs['redis']!.env).toHaveProperty('TEST_REDIS_URL');
  });

  it('lints once, and runs as a user would on servers that the tests bring', () => {
    const run = (job: Job): string => job.steps.map((step) => step.run ?? '').join('\n');
    const linting = Object.values(jobs).filter((job) => run(job).includes('npm run lint'));
    expect(linting).toHaveLength(1);
    expect(run(jobs['embedded']!)).toContain('.ci/run');
    expect(jobs['embedded']!.services).toBeUndefined();
  });

  it('fits what the libraries ask their users for', () => {
    const manifests = readdirSync(join(root, 'libs')).map(
      (lib) =>
        JSON.parse(read(`libs/${lib}/package.json`)) as {
          name: string;
          peerDependencies?: Record<string, string>;
        },
    );
    const [, older, newer] = /NestJS (\d+) or (\d+)/.exec(readme)!;
    const wrong = manifests.flatMap(({ name, peerDependencies = {} }) => {
      const range = peerDependencies['@nestjs/common'];
      return range === undefined || range === `^${older}.0.0 || ^${newer}.0.0` ? [] : [`${name}: ${range}`];
    });
    expect(wrong).toEqual([]);
  });
});

describe('the release', () => {
  const { jobs } = readYaml<Workflow>('.github/workflows/release.yml');

  it('attests where a package comes from, and needs nothing else from GitHub', () => {
    expect(jobs['release']!.permissions).toEqual({
      contents: 'write',
      'pull-requests': 'write',
      'id-token': 'write',
    });
    expect(read('.github/workflows/release.yml')).toContain("NPM_CONFIG_PROVENANCE: 'true'");
  });
});

describe('updates of dependencies', () => {
  const { updates } = readYaml<{
    updates: { 'package-ecosystem': string; directory?: string; directories?: string[] }[];
  }>('.github/dependabot.yml');

  it('are looked for wherever there are any', () => {
    const files: Record<string, string> = {
      npm: 'package-lock.json',
      'github-actions': '.github/workflows/ci.yml',
      'docker-compose': 'docker-compose.yml',
      docker: 'Dockerfile',
    };
    expect(updates.map((update) => update['package-ecosystem']).toSorted()).toEqual(
      Object.keys(files).toSorted(),
    );
    for (const { 'package-ecosystem': ecosystem, directory, directories = [directory!] } of updates) {
      for (const one of directories) expect(existsSync(join(root, one, files[ecosystem]!))).toBe(true);
    }
  });
});

describe('forms', () => {
  const forms = readdirSync(join(root, '.github/ISSUE_TEMPLATE')).filter((file) => file !== 'config.yml');

  it.each(forms)('%s is one that GitHub shows', (file) => {
    const { name, description, body } = readYaml<{
      name: string;
      description: string;
      body: { type: string; id?: string; attributes: { label?: string; value?: string } }[];
    }>(`.github/ISSUE_TEMPLATE/${file}`);
    expect([name, description]).toEqual([expect.any(String), expect.any(String)]);
    const ids = body.flatMap((field) => field.id ?? []);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { type, attributes } of body) {
      expect(typeof (type === 'markdown' ? attributes.value : attributes.label)).toBe('string');
    }
  });

  it('a bug comes with its versions, its library, and what the doctor says', () => {
    const bug = read('.github/ISSUE_TEMPLATE/bug.yml');
    const { body } = parse(bug) as {
      body: { id?: string; attributes: { options?: string[] }; validations?: { required: boolean } }[];
    };
    const field = (id: string) => body.find((one) => one.id === id);
    for (const id of ['versions', 'doctor', 'library']) expect(field(id)?.validations?.required).toBe(true);
    expect(bug).toContain('nestbox doctor --json');
    const libraries = field('library')!.attributes.options!;
    expect(readdirSync(join(root, 'libs')).filter((lib) => !libraries.includes(lib))).toEqual([]);
  });
});

describe('containers', () => {
  it('have the newest servers that the README promises, and say when they are ready', () => {
    const [, newest] = /PostgreSQL \d+ to (\d+)/.exec(read('README.md'))!;
    for (const file of ['docker-compose.yml', '.devcontainer/docker-compose.yml']) {
      const { services } = readYaml<Compose>(file);
      expect(services['postgres']!.image).toBe(`postgres:${newest}`);
      expect(services['redis']!.image).toBe('redis:8');
      expect([services['postgres']!.healthcheck, services['redis']!.healthcheck]).not.toContain(undefined);
    }
  });

  it('for development has a service and files that there are', () => {
    const config = JSON.parse(read('.devcontainer/devcontainer.json')) as {
      dockerComposeFile: string;
      service: string;
    };
    const { services } = readYaml<Compose>(join('.devcontainer', config.dockerComposeFile));
    expect(services).toHaveProperty(config.service);
    const image = read('.devcontainer/Dockerfile');
    expect(image).toMatch(/^FROM node:22-/);
    for (const program of ['chromium', 'pgbouncer', 'redis-server']) expect(image).toContain(program);
  });
});
