import { command } from '../../command/define.js';
import { Progress } from '../../output/progress.js';
import { KV_OPTIONS, type KvOptions } from './kv-options.js';
import { openPostgresKv } from './open-kv.js';

export const kvBackup = command<KvOptions>({
  usage: 'backup',
  summary: 'copy the table beside itself, in one snapshot (PostgreSQL)',
  details:
    'Prints the name of the new table, such as kv_store_backup_2030-01-31T12-00-00Z. It is in the same database, so it guards against mistakes, not against the loss of the server.',
  options: KV_OPTIONS,
  examples: ['nestbox kv backup', 'nestbox kv backup --table app_kv --json'],
  async run(context, _args, options) {
    const { postgres, name } = await openPostgresKv(context, options, 'kv backup');
    using progress = new Progress(context.terminal, 'Backing up', 'entries');
    progress.say(name);
    const backup = await postgres.backup();
    if (context.isJson) context.printJson({ backup });
    else context.print(backup);
  },
});
