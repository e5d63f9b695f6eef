import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { root } from './docs/page.js';

/** What the sources have, the pages name: every option, every error with its code. */

interface Covered {
  page: string;
  lib: string;
  /** Interfaces whose properties are options of users. */
  options: readonly string[];
}

const COVERED: readonly Covered[] = [
  {
    page: 'kv',
    lib: 'kv',
    options: [
      'KeyValueStoreOptions',
      'KvPostgresOptions',
      'KvRedisOptions',
      'KvAdapterOptions',
      'PostgresStoreOptions',
      'RedisAdapterOptions',
      'LocalAdapterOptions',
      'FileAdapterOptions',
    ],
  },
  {
    page: 'channels',
    lib: 'channels',
    options: [
      'ChannelBaseOptions',
      'ChannelPostgresOptions',
      'ChannelRedisOptions',
      'ChannelStoreOptions',
      'PgBackplaneOptions',
      'RedisBackplaneOptions',
    ],
  },
  {
    page: 'event-hub',
    lib: 'event-hub',
    options: [
      'EventHubBaseOptions',
      'EventHubServiceOptions',
      'EventHubStoreOptions',
      'HubSettings',
      'TopicOptions',
      'HistoryOptions',
      'PublishOptions',
      'SseStreamOptions',
    ],
  },
  { page: 'websockets', lib: 'event-hub', options: ['NestboxWsAdapterOptions', 'HeartbeatOptions'] },
  {
    page: 'event-store',
    lib: 'event-store',
    options: [
      'EventStoreModuleOptions',
      'EventStoreSettings',
      'ModuleConsumerOptions',
      'ProcessorOptions',
      'ProjectionBaseOptions',
    ],
  },
  {
    page: 'workflows',
    lib: 'workflows',
    options: [
      'WorkflowModuleOptions',
      'WorkflowSettings',
      'WorkflowOptions',
      'StartOptions',
      'StepOptions',
      'QueueOptions',
      'ChildOptions',
      'MapOptions',
    ],
  },
  {
    page: 'postgres',
    lib: 'postgres',
    options: ['PostgresOptions', 'EmbeddedOptions', 'TransactionOptions'],
  },
  {
    page: 'postgres-primitives',
    lib: 'postgres',
    options: ['AcquireOptions', 'WakeupOnOptions', 'MigrationsOptions'],
  },
  {
    page: 'redis',
    lib: 'redis',
    options: ['RedisSettings', 'RedisClusterOptions', 'RedisSharedOptions', 'DuplicateOptions'],
  },
  { page: 'core', lib: 'core', options: ['CoalescerOptions', 'BackoffOptions'] },
  {
    page: 'testing',
    lib: 'testing',
    options: [
      'StartPostgresOptions',
      'StartRedisOptions',
      'StartRedisClusterOptions',
      'StartRedisSentinelOptions',
      'SpawnFixtureOptions',
      'EventuallyOptions',
    ],
  },
  {
    page: 'typeorm',
    lib: 'typeorm',
    options: ['TypeOrmTransactionsOptions', 'TypeOrmTransactionOptions', 'TransactionalOptions'],
  },
];

/** Pages on which the errors of a library are. Those of `core` are on its own page and named where they occur. */
const ERRORS = [
  'core',
  'kv',
  'channels',
  'event-hub',
  'event-store',
  'workflows',
  'postgres',
  'redis',
  'typeorm',
  'testing',
];

function sourcesOf(lib: string): ts.SourceFile[] {
  const folder = join(root, 'libs', lib, 'src');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) =>
      ts.createSourceFile(path, readFileSync(join(folder, path), 'utf8'), ts.ScriptTarget.ES2023, true),
    );
}

function pageText(name: string): string {
  return readFileSync(join(root, 'docs', `${name}.md`), 'utf8');
}

/** The properties of an interface, or of a type that is written out. */
function propertiesOf(sources: readonly ts.SourceFile[], name: string): string[] {
  for (const statement of sources.flatMap((source) => [...source.statements])) {
    const members = membersOf(statement, name);
    if (members)
      return members.flatMap((member) =>
        member.name && ts.isIdentifier(member.name) ? member.name.text : [],
      );
  }
  throw new Error(`There is no interface ${name}.`);
}

function membersOf(statement: ts.Statement, name: string): readonly ts.TypeElement[] | undefined {
  if (ts.isInterfaceDeclaration(statement) && statement.name.text === name) return statement.members;
  if (!ts.isTypeAliasDeclaration(statement) || statement.name.text !== name) return undefined;
  const parts = ts.isIntersectionTypeNode(statement.type) ? statement.type.types : [statement.type];
  return parts.flatMap((part) => (ts.isTypeLiteralNode(part) ? [...part.members] : []));
}

/** The exported classes of errors with their codes. */
function errorsOf(lib: string): { name: string; code: string | undefined }[] {
  const index = readFileSync(join(root, 'libs', lib, 'src/index.ts'), 'utf8');
  return sourcesOf(lib)
    .flatMap((source) => [...source.statements])
    .filter(ts.isClassDeclaration)
    .flatMap((declared) => {
      const name = declared.name?.text ?? '';
      if (!name.endsWith('Error') || name === 'NestboxError' || !new RegExp(`\\b${name}\\b`).test(index))
        return [];
      const code = /readonly code(?:: \w+)? = '(?<code>[A-Z_]+)'/.exec(declared.getText())?.groups?.['code'];
      return [{ name, code }];
    });
}

describe('The pages of the modules', () => {
  it.each(COVERED)('name every option: $page', ({ page, lib, options }) => {
    const sources = sourcesOf(lib);
    const text = pageText(page);
    const missing = options.flatMap((name) =>
      propertiesOf(sources, name)
        .filter((property) => !new RegExp(`\\b${property}\\b`).test(text))
        .map((property) => `${name}.${property}`),
    );
    expect(missing).toEqual([]);
  });

  it.each(ERRORS)('name every error with its code: %s', (lib) => {
    const text = pageText(lib);
    const errors = errorsOf(lib);
    expect(errors.length).toBeGreaterThan(0);
    const missing = errors.filter(
      ({ name, code }) => !text.includes(`\`${name}\``) || (code && !text.includes(`\`${code}\``)),
    );
    expect(missing).toEqual([]);
  });
});
