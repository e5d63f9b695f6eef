import { backplaneMigrations, channelMigrations } from '@nestbox/channels';
import { eventHubMigrations } from '@nestbox/event-hub';
import { eventStoreMigrations } from '@nestbox/event-store';
import { kvMigrations } from '@nestbox/kv';
import { Migrations, type TransactionalQueryable } from '@nestbox/postgres';
import { NestboxMigration } from '@nestbox/typeorm';
import { workflowMigrations } from '@nestbox/workflows';

/** What the primitives keep, which all that follow build on. */
export class CreateNestbox1763700000001 extends NestboxMigration {
  readonly from = 0;
  readonly to = 1;

  schema(database: TransactionalQueryable): Migrations {
    return Migrations.ofFoundation(database);
  }
}

/** Settings, answers that may be asked for again, and the payment provider's books. */
export class CreateShopKv1763700000002 extends NestboxMigration {
  readonly from = 0;
  readonly to = 1;

  schema(database: TransactionalQueryable): Migrations {
    return kvMigrations(database, { tableName: 'shop_kv' });
  }
}

/** The events of carts and orders, and the documents that are made of them. */
export class CreateEventStore1763700000003 extends NestboxMigration {
  readonly from = 0;
  readonly to = 1;

  schema(database: TransactionalQueryable): Migrations {
    return eventStoreMigrations(database, { schema: 'event_store' });
  }
}

/** The checkouts that are under way. */
export class CreateWorkflows1763700000004 extends NestboxMigration {
  readonly from = 0;
  readonly to = 1;

  schema(database: TransactionalQueryable): Migrations {
    return workflowMigrations(database);
  }
}

/** Who looks at the live page. */
export class CreateChannels1763700000005 extends NestboxMigration {
  readonly from = 0;
  readonly to = 1;

  schema(database: TransactionalQueryable): Migrations {
    return channelMigrations(database);
  }
}

/** What they listen to. Its table refers to that of the channels. */
export class CreateSubscriptions1763700000006 extends NestboxMigration {
  readonly from = 0;
  readonly to = 1;

  schema(database: TransactionalQueryable): Migrations {
    return eventHubMigrations(database);
  }
}

/** What is sent to channels that are connected to another instance. */
export class CreateChannelsBackplane1763700000007 extends NestboxMigration {
  readonly from = 0;
  readonly to = 1;

  schema(database: TransactionalQueryable): Migrations {
    return backplaneMigrations(database, { name: 'channels' });
  }
}

/** What is published, with its history. */
export class CreateHubBackplane1763700000008 extends NestboxMigration {
  readonly from = 0;
  readonly to = 1;

  schema(database: TransactionalQueryable): Migrations {
    return backplaneMigrations(database, { name: 'hub' });
  }
}

/** In the order in which they are applied. */
export const NESTBOX_MIGRATIONS = [
  CreateNestbox1763700000001,
  CreateShopKv1763700000002,
  CreateEventStore1763700000003,
  CreateWorkflows1763700000004,
  CreateChannels1763700000005,
  CreateSubscriptions1763700000006,
  CreateChannelsBackplane1763700000007,
  CreateHubBackplane1763700000008,
];
