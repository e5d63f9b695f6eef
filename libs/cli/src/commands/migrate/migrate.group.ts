import type { GroupSpec } from '../../command/define.js';
import { migrateRun } from './migrate-run.js';
import { migrateSql } from './migrate-sql.js';
import { migrateStatus } from './migrate-status.js';

export const migrateGroup: GroupSpec = {
  name: 'migrate',
  summary: 'create and upgrade the schema',
  commands: [migrateRun, migrateSql, migrateStatus],
};
