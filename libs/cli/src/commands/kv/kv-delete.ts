import { YES, command } from '../../command/define.js';
import { NothingFoundError } from '../../command.errors.js';
import { counted } from '../../output/format.js';
import { KV_OPTIONS, VERSIONING, type KvOptions } from './kv-options.js';
import { openKv } from './open-kv.js';

export const kvDelete = command<KvOptions & { yes?: boolean }>({
  usage: 'delete <key...>',
  summary: 'delete keys',
  details: 'The exit code is 4 when there was none of them.',
  options: [...KV_OPTIONS, VERSIONING, YES],
  examples: ['nestbox kv delete theme', 'nestbox kv delete user:7 user:8 --yes'],
  async run(context, keys, options) {
    const { store, name } = await openKv(context, options);
    const what = keys.length === 1 ? `key ${JSON.stringify(keys[0])}` : `${keys.length} keys`;
    await context.confirm(`deletes ${what} from ${name}`, options);
    const deleted = await store.deleteMany(keys);
    if (deleted === 0)
      throw new NothingFoundError(`There is no ${keys.length === 1 ? what : 'such key'} in ${name}.`);
    if (context.isJson) context.printJson({ deleted });
    else context.print(`Deleted ${counted(deleted, 'key', 'keys')}.`);
  },
});
