import { command } from '../../command/define.js';
import { NothingFoundError } from '../../command.errors.js';
import { prettyJson } from '../../output/plain.js';
import { KV_OPTIONS, type KvOptions } from './kv-options.js';
import { openKv } from './open-kv.js';

interface GetOptions extends KvOptions {
  readonly raw?: boolean | undefined;
}

export const kvGet = command<GetOptions>({
  usage: 'get <key>',
  summary: 'print the value of a key',
  details:
    'The value is printed as JSON; with --json, the whole entry with its version and times. The exit code is 4 when there is none.',
  options: [...KV_OPTIONS, { flags: '--raw', description: 'print a text as it is, without quotes' }],
  examples: ['nestbox kv get theme', 'nestbox kv get user:7 --json --table app_kv'],
  async run(context, [key = ''], options) {
    const { store, name } = await openKv(context, options);
    const entry = await store.entry(key);
    if (entry === undefined)
      throw new NothingFoundError(`There is no key ${JSON.stringify(key)} in ${name}.`);
    if (context.isJson) context.printJson(entry);
    else if (options.raw === true && typeof entry.value === 'string') context.print(entry.value);
    else context.print(prettyJson(entry.value));
  },
});
