import type { Entry } from '@nestbox/kv';
import { command } from '../../command/define.js';
import { count } from '../../command/option-values.js';
import { formatTime, formatValue } from '../../output/format.js';
import type { Column } from '../../output/table.js';
import { UsageError } from '../../usage-error.js';
import { KV_OPTIONS, type KvOptions } from './kv-options.js';
import { openKv } from './open-kv.js';

interface ListOptions extends KvOptions {
  readonly prefix?: string | undefined;
  readonly start?: string | undefined;
  readonly end?: string | undefined;
  readonly reverse?: boolean | undefined;
  readonly contains?: unknown;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

const COLUMNS: readonly Column[] = [
  { header: 'KEY', isFlexible: true },
  { header: 'VERSION', align: 'right' },
  { header: 'UPDATED' },
  { header: 'EXPIRES' },
  { header: 'VALUE', isFlexible: true },
];

export const kvList = command<ListOptions>({
  usage: 'list',
  summary: 'list entries in the order of their keys',
  options: [
    { flags: '--prefix <text>', description: 'only keys that begin with it' },
    { flags: '--start <key>', description: 'the first key that may be listed' },
    { flags: '--end <key>', description: 'the first key that may no longer be listed' },
    { flags: '--reverse', description: 'from the last key to the first' },
    {
      flags: '--contains <json>',
      description: 'only values with this part; PostgreSQL only, with --prefix at the most',
      read: readJson,
    },
    { flags: '--limit <n>', description: 'default: 100', read: count('--limit', 10_000) },
    { flags: '--cursor <text>', description: 'where the page before ended' },
    ...KV_OPTIONS,
  ],
  examples: ['nestbox kv list --prefix user:', `nestbox kv list --contains '{"role":"admin"}' --json`],
  async run(context, _args, options) {
    const { prefix, start, end, reverse, contains, limit = 100, cursor } = options;
    if (contains !== undefined && (start !== undefined || end !== undefined || reverse !== undefined)) {
      throw new UsageError('--contains goes with --prefix, --limit and --cursor only');
    }
    const { store, name } = await openKv(context, options);
    const page =
      contains === undefined
        ? await store.list({ prefix, start, end, reverse, limit, cursor })
        : await store.query({ contains, prefix, limit, cursor });
    if (context.isJson) {
      context.printJson({ entries: page.entries, cursor: page.cursor ?? null });
      return;
    }
    context.printTable(COLUMNS, page.entries.map(rowOf), `No such entries in ${name}.`);
    context.noteMore(page.cursor);
  },
});

function rowOf({ key, version, updatedAt, expiresAt, value }: Entry<unknown>): string[] {
  return [key, String(version), formatTime(updatedAt), formatTime(expiresAt), formatValue(value)];
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new UsageError('--contains must be JSON');
  }
}
