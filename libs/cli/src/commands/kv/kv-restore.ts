import { YES, command } from '../../command/define.js';
import { NothingFoundError } from '../../command.errors.js';
import { counted } from '../../output/format.js';
import { Progress } from '../../output/progress.js';
import { KV_OPTIONS, type KvOptions } from './kv-options.js';
import { openPostgresKv } from './open-kv.js';

export const kvRestore = command<KvOptions & { yes?: boolean }>({
  usage: 'restore <backup>',
  summary: 'make the entries those of a backup, all at once (PostgreSQL)',
  details:
    'What is not in the backup is deleted. Restored entries get new versions, and whoever watches the store sees the changes.',
  options: [...KV_OPTIONS, YES],
  examples: ['nestbox kv backups', 'nestbox kv restore kv_store_backup_2030-01-31T12-00-00Z'],
  async run(context, [backup = ''], options) {
    const { postgres, name } = await openPostgresKv(context, options, 'kv restore');
    const backups = await postgres.listBackups();
    if (!backups.includes(backup)) {
      throw new NothingFoundError(
        `There is no backup ${JSON.stringify(backup)} of ${name}; nestbox kv backups lists them.`,
      );
    }
    const { count } = await postgres.getStats();
    const has = counted(count, 'entry', 'entries');
    await context.confirm(`replaces all of ${name}, which has ${has}, by ${backup}`, options);
    using progress = new Progress(context.terminal, 'Restoring', 'entries');
    progress.say(backup);
    const restored = await postgres.restore(backup);
    if (context.isJson) context.printJson({ restored });
    else context.print(`Restored ${counted(restored, 'entry', 'entries')} into ${name}.`);
  },
});
