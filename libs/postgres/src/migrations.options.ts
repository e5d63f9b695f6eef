import type { AppliedMigration } from './migration-plan.js';
import type { TemplateParameters } from './migration-template.js';

/** Whose migrations they are, and what they are applied to. */
export interface MigrationsOptions {
  /** Whose migrations, such as `kv`. */
  lib: string;
  /** What they are applied to, such as `public.kv_store`: one database may hold several. */
  target: string;
  /** The folder with the .sql files: `new URL('../sql/', import.meta.url)`. */
  directory: URL;
  /** What the placeholders stand for; see migration-template.ts for their syntax. Default: none. */
  parameters?: TemplateParameters;
  /** What the `nestbox` command has to be told to find the target, such as `{ table: 'app_kv' }`. Default: nothing. */
  flags?: Readonly<Record<string, string>>;
  /** Default: the version in the nearest package.json above the folder. */
  release?: string;
}

/** A file that was applied, or would be. */
export interface MigrationStep {
  lib: string;
  target: string;
  /** Such as `002_history.sql`. */
  file: string;
  /** The number of a migration; null for a function. */
  version: number | null;
  /** The statements, with parameters filled in. */
  sql: string;
}

/** What a run or a revert of migrations has applied. */
export interface MigrationReport {
  lib: string;
  target: string;
  dryRun: boolean;
  /** In order; empty when there was nothing to do. Those of a revert are in `down/`. The schema `nestbox` itself comes first where it is missing. */
  steps: MigrationStep[];
  /** The newer release that the database was left to, if any. */
  newerRelease: string | undefined;
}

/** How far a schema is, and how far it could be. */
export interface MigrationStatus {
  lib: string;
  target: string;
  /** The highest migration that was applied; 0 for none. */
  version: number;
  /** The highest migration that this release knows. */
  latestVersion: number;
  applied: AppliedMigration[];
  /** The files that `Migrations.run` would apply. */
  pending: string[];
  newerRelease: string | undefined;
}
