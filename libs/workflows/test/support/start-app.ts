import { PostgresModule } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import type { ModuleMetadata } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';

/** The applications that tests of this file have started; `close` ends them, also when a test has failed. */
export class Apps {
  private readonly open: TestingModule[] = [];

  async start(metadata: ModuleMetadata): Promise<TestingModule> {
    const moduleRef = await Test.createTestingModule(metadata).compile();
    this.open.push(moduleRef);
    return moduleRef.init();
  }

  async close(): Promise<void> {
    await Promise.all(this.open.splice(0).map((app) => app.close()));
  }
}

/** A database for a file of tests, and the module that connects to it. */
export class AppDatabase {
  private constructor(private readonly database: TestDatabase) {}

  static async create(): Promise<AppDatabase> {
    return new AppDatabase(await testDatabase());
  }

  get url(): string {
    return this.database.url;
  }

  connect(name?: string) {
    return PostgresModule.forRoot({ url: this.database.url, ...(name !== undefined && { name }) });
  }

  drop(): Promise<void> {
    return this.database.drop();
  }
}
