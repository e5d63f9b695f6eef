import type { ExpectedVersion } from '@nestbox/kv';
import { command } from '../../command/define.js';
import { duration, position } from '../../command/option-values.js';
import { readAll } from '../../output/read-all.js';
import { UsageError } from '../../usage-error.js';
import { KV_OPTIONS, VERSIONING, type KvOptions } from './kv-options.js';
import { openKv } from './open-kv.js';

interface SetOptions extends KvOptions {
  readonly string?: boolean | undefined;
  readonly ttl?: string | undefined;
  readonly ifVersion?: ExpectedVersion | undefined;
}

export const kvSet = command<SetOptions>({
  usage: 'set <key> <value>',
  summary: 'store a value',
  details:
    'The value is JSON, or any text with --string; - reads it from the standard input. A value that is there already is replaced without a question, unless --if-version says otherwise. Whole numbers beyond 2^53 would be rounded, and are refused.',
  options: [
    ...KV_OPTIONS,
    VERSIONING,
    { flags: '--string', description: 'take the value as a text, not as JSON' },
    {
      flags: '--ttl <time>',
      description: 'how long it lives, such as 90s or 7d; default: for ever',
      read: duration('--ttl'),
    },
    {
      flags: '--if-version <version>',
      description: 'only when the key is at this version, or, with "absent", when there is none',
      read: readVersion,
    },
  ],
  examples: [
    `nestbox kv set theme '"dark"'`,
    'nestbox kv set theme dark --string',
    `nestbox kv set user:7 '{"name":"Ada"}' --ttl 7d --if-version absent`,
    'nestbox kv set page - --string < page.html',
  ],
  async run(context, [key = '', given = ''], options) {
    const text = given === '-' ? await readAll(context.terminal.input) : given;
    const value = options.string === true ? text : parse(text);
    const { store } = await openKv(context, options);
    const { ttl, ifVersion } = options;
    const { version } = await store.set(key, value, { ttl, ifVersion });
    if (context.isJson) context.printJson({ key, version });
    else context.print(`${JSON.stringify(key)} is at version ${version}`);
  },
});

function parse(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text) as unknown;
  } catch {
    throw new UsageError(`the value is not JSON; put a text in quotes ('"dark"'), or pass --string`);
  }
  refuseLongNumbers(text);
  return value;
}

/** JavaScript would round them. */
function refuseLongNumbers(json: string): void {
  // Whole numbers; what looks like one within a text is passed over with it.
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g)) {
    if (/^-?\d+$/.test(token) && !Number.isSafeInteger(Number(token))) {
      throw new UsageError(`the number ${token} would be rounded; put it in quotes`);
    }
  }
}

function readVersion(text: string): ExpectedVersion {
  if (text === 'absent') return text;
  if (!/^\d+$/.test(text)) throw new UsageError(`--if-version must be a version or absent, not "${text}"`);
  return position('--if-version')(text);
}
