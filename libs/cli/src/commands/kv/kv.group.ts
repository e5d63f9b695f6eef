import type { GroupSpec } from '../../command/define.js';
import { kvBackup } from './kv-backup.js';
import { kvBackups } from './kv-backups.js';
import { kvDelete } from './kv-delete.js';
import { kvExport } from './kv-export.js';
import { kvGet } from './kv-get.js';
import { kvImport } from './kv-import.js';
import { kvList } from './kv-list.js';
import { kvRestore } from './kv-restore.js';
import { kvSet } from './kv-set.js';
import { kvStats } from './kv-stats.js';

export const kvGroup: GroupSpec = {
  name: 'kv',
  summary: 'read and change a key-value store',
  commands: [kvGet, kvSet, kvList, kvDelete, kvExport, kvImport, kvBackup, kvBackups, kvRestore, kvStats],
};
