import { command } from '../../command/define.js';
import { KV_OPTIONS, type KvOptions } from './kv-options.js';
import { openPostgresKv } from './open-kv.js';

export const kvBackups = command<KvOptions>({
  usage: 'backups',
  summary: 'list the backups of the table, newest first (PostgreSQL)',
  options: KV_OPTIONS,
  examples: ['nestbox kv backups', 'nestbox kv backups --json'],
  async run(context, _args, options) {
    const { postgres, name } = await openPostgresKv(context, options, 'kv backups');
    const backups = await postgres.listBackups();
    if (context.isJson) context.printJson({ backups });
    else if (backups.length === 0) context.note(`${name} has no backups.`);
    else context.print(backups.join('\n'));
  },
});
