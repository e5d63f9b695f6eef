import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './support/command.js';

/** What the README says has to be what the command has. */

let readme: string;
let commands: string[];

beforeAll(async () => {
  readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  commands = [];
  for (const group of await listed([])) {
    const names = await listed([group]);
    commands.push(...(names.length === 0 ? [group] : names.map((name) => `${group} ${name}`)));
  }
});

async function listed(path: readonly string[]): Promise<string[]> {
  const { out } = await run([...path, '--help']);
  const [, section = ''] = /\nCommands:\n((?: {2}.*\n?)*)/.exec(out) ?? [];
  return [...section.matchAll(/^ {2}([a-z]\S*)/gm)].map(([, name]) => name!);
}

/** The options of a command, those of all commands included. */
async function optionsOf(command: string): Promise<string[]> {
  const { out } = await run([...command.split(' '), '--help']);
  return [...out.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(([, name]) => name!);
}

/** The part of the README about a group. */
function sectionOf(group: string): string {
  const section = readme
    .split(/^## /m)
    .find((each) => each.startsWith(`nestbox `) && each.split('\n')[0]!.includes(group));
  if (section === undefined) throw new Error(`The README has no section about ${group}.`);
  return section;
}

it('has every command', () => {
  expect(commands.length).toBeGreaterThan(30);
  const missing = commands.filter(
    (command) => !readme.includes(`nestbox ${command}`) && !readme.includes(`\`${command}`),
  );
  expect(missing).toEqual([]);
});

it('has every option, where its command is', async () => {
  const missing: string[] = [];
  const everywhere = ['--url', '--redis-url', '--config', '--json', '--help'];
  for (const option of everywhere) if (!readme.includes(option)) missing.push(option);
  for (const command of commands) {
    const [group = ''] = command.split(' ');
    for (const option of await optionsOf(command)) {
      if (option === '--version' || everywhere.includes(option)) continue;
      if (!sectionOf(group).includes(option)) missing.push(`${command} ${option}`);
    }
  }
  expect(missing).toEqual([]);
});

it('names no option and no command that is not there', async () => {
  const known = new Set(['--version', '--', '--help']);
  for (const command of commands) for (const option of await optionsOf(command)) known.add(option);
  const named = [...readme.matchAll(/(?<![\w-])--[a-z][\w-]*/g)].map(([option]) => option);
  expect(named.filter((option) => !known.has(option))).toEqual([]);
  const used = [...readme.matchAll(/npx nestbox ([a-z]+)(?: ([a-z]+))?/g)].map(([, group, name]) =>
    name === undefined ? group! : `${group} ${name}`,
  );
  expect(used.filter((command) => !commands.includes(command))).toEqual([]);
});

it('shows a configuration file that is taken', async () => {
  const [, json] = /```json\n([^]*?)```/.exec(readme)!;
  const folder = await mkdtemp(join(tmpdir(), 'nestbox-cli-'));
  try {
    await writeFile(join(folder, 'nestbox.config.json'), json!);
    // It is read, and then the server that it names is not there.
    const config = JSON.parse(json!) as { url: string };
    await writeFile(
      join(folder, 'nestbox.config.json'),
      JSON.stringify({ ...config, url: 'postgres://127.0.0.1:1/app' }),
    );
    expect(await run(['events', 'streams'], { cwd: folder })).toMatchObject({
      code: 1,
      error: expect.stringContaining('cannot connect to PostgreSQL at 127.0.0.1:1'),
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

it('has every exit code', async () => {
  const { out } = await run(['--help']);
  for (const [, code] of out.split('Exit codes: ')[1]!.matchAll(/(?:^|, )(\d) /g)) {
    expect(readme).toMatch(new RegExp(`^\\| ${code} `, 'm'));
  }
});
