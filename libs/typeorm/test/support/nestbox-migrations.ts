import { backplaneMigrations, channelMigrations } from '@nestbox/channels';
import { eventHubMigrations } from '@nestbox/event-hub';
import { eventStoreMigrations } from '@nestbox/event-store';
import { kvMigrations } from '@nestbox/kv';
import { Migrations, type TransactionalQueryable } from '@nestbox/postgres';
import { workflowMigrations } from '@nestbox/workflows';
import { NestboxMigration } from '../../src/migrations/nestbox.migration.js';

abstract class First extends NestboxMigration {
  readonly from = 0;
  readonly to = 1;
}

export class CreateNestbox1763700000001 extends First {
  schema(database: TransactionalQueryable): Migrations {
    return Migrations.ofFoundation(database);
  }
}

export class CreateKv1763700000002 extends First {
  schema(database: TransactionalQueryable): Migrations {
    return kvMigrations(database, { tableName: 'app_kv' });
  }
}

export class CreateChannels1763700000003 extends First {
  schema(database: TransactionalQueryable): Migrations {
    return channelMigrations(database);
  }
}

export class CreateEventHub1763700000004 extends First {
  schema(database: TransactionalQueryable): Migrations {
    return eventHubMigrations(database);
  }
}

export class CreateHubBackplane1763700000005 extends First {
  schema(database: TransactionalQueryable): Migrations {
    return backplaneMigrations(database, { name: 'hub' });
  }
}

export class CreateChannelsBackplane1763700000006 extends First {
  schema(database: TransactionalQueryable): Migrations {
    return backplaneMigrations(database, { name: 'channels' });
  }
}

export class CreateEventStore1763700000007 extends First {
  schema(database: TransactionalQueryable): Migrations {
    return eventStoreMigrations(database);
  }
}

export class CreateWorkflows1763700000008 extends First {
  schema(database: TransactionalQueryable): Migrations {
    return workflowMigrations(database);
  }
}

/** One for each schema that there is, in order. */
export const MIGRATIONS = [
  CreateNestbox1763700000001,
  CreateKv1763700000002,
  CreateChannels1763700000003,
  CreateEventHub1763700000004,
  CreateHubBackplane1763700000005,
  CreateChannelsBackplane1763700000006,
  CreateEventStore1763700000007,
  CreateWorkflows1763700000008,
] as const;
