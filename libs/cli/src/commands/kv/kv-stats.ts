import { command } from '../../command/define.js';
import { formatCount } from '../../output/format.js';
import { facts } from '../../output/table.js';
import { KV_OPTIONS, type KvOptions } from './kv-options.js';
import { openKv } from './open-kv.js';

export const kvStats = command<KvOptions>({
  usage: 'stats',
  summary: 'print how many entries there are, and what they occupy',
  options: KV_OPTIONS,
  examples: ['nestbox kv stats', 'nestbox kv stats --store redis --json'],
  async run(context, _args, options) {
    const { store, name } = await openKv(context, options);
    const { count, bytes, size } = await store.stats();
    if (context.isJson) context.printJson({ store: name, count, bytes });
    else
      context.print(
        facts([
          ['store', name],
          ['entries', formatCount(count)],
          ['size', size],
        ]),
      );
  },
});
