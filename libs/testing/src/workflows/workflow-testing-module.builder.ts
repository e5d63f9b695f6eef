import { parseDuration } from '@nestbox/core';
import { getPostgresToken, type Postgres } from '@nestbox/postgres';
import { WorkflowModule, getWorkflowToken } from '@nestbox/workflows';
import type { INestApplicationContext, LoggerService, ModuleMetadata, Type } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { MockFactory, TestingModule, TestingModuleBuilder } from '@nestjs/testing';
import { load } from '../driver.js';
import { ROOT } from './root.js';
import { MemoryTestStore, PgTestStore, type TestStore } from './test-store.js';
import { TestedService } from './tested-service.js';
import type { WorkflowTestingModule } from './workflow-testing-module.js';
import type { WorkflowTestingOptions } from './workflow-testing.options.js';

const SETTLE = '10s';
/** A step that hangs shall not hold up the end of a test. */
const DRAIN = '1s';

/** What takes the place of something; see NestJS. */
export interface Override {
  useValue(value: unknown): WorkflowTestingModuleBuilder;
  useClass(type: Type): WorkflowTestingModuleBuilder;
  useFactory(options: {
    factory: (...injected: never[]) => unknown;
    inject?: unknown[];
  }): WorkflowTestingModuleBuilder;
}

type Overridable =
  'overrideProvider' | 'overrideGuard' | 'overrideInterceptor' | 'overridePipe' | 'overrideFilter';
type ModuleDefinition = Parameters<TestingModuleBuilder['overrideModule']>[0];
type Change = (builder: TestingModuleBuilder) => unknown;

/** Builds the application of a test; made by `WorkflowTestingModule.create`. */
export class WorkflowTestingModuleBuilder {
  private readonly changes: Change[] = [];

  /** @internal */
  constructor(
    private readonly metadata: ModuleMetadata,
    private readonly options: WorkflowTestingOptions,
    private readonly wrap: (
      app: INestApplicationContext,
      service: TestedService,
      settleMs: number,
    ) => WorkflowTestingModule<INestApplicationContext>,
  ) {}

  /** Puts something else in the place of a provider, such as a fake one. */
  overrideProvider(token: unknown): Override {
    return this.override('overrideProvider', token);
  }

  overrideGuard(token: unknown): Override {
    return this.override('overrideGuard', token);
  }

  overrideInterceptor(token: unknown): Override {
    return this.override('overrideInterceptor', token);
  }

  overridePipe(token: unknown): Override {
    return this.override('overridePipe', token);
  }

  overrideFilter(token: unknown): Override {
    return this.override('overrideFilter', token);
  }

  overrideModule(module: ModuleDefinition): {
    useModule(other: ModuleDefinition): WorkflowTestingModuleBuilder;
  } {
    return {
      useModule: (other) => this.change((builder) => builder.overrideModule(module).useModule(other)),
    };
  }

  /** Makes what nobody provides. */
  useMocker(mocker: MockFactory): this {
    return this.change((builder) => builder.useMocker(mocker));
  }

  setLogger(logger: LoggerService): this {
    return this.change((builder) => builder.setLogger(logger));
  }

  compile(): Promise<WorkflowTestingModule>;
  compile<App extends INestApplicationContext>(
    make: (module: TestingModule) => App,
  ): Promise<WorkflowTestingModule<App>>;
  /**
   * Makes the application and starts it, with a worker.
   *
   * @param make the application to start, such as `(module) => module.createNestApplication()`. Default: the module
   * @throws TestServerError without the package `@nestjs/testing`; InvalidArgumentError; what keeps the application from
   *   starting
   */
  async compile(
    make: (module: TestingModule) => INestApplicationContext = (module) => module,
  ): Promise<WorkflowTestingModule<INestApplicationContext>> {
    const { name, settleTimeout = SETTLE, connection } = this.options;
    const settleMs = parseDuration(settleTimeout, 'options.settleTimeout');
    const { Test } = await load('@nestjs/testing', () => import('@nestjs/testing'));
    const { imports = [], providers = [], ...metadata } = this.metadata;
    const builder = Test.createTestingModule({
      ...metadata,
      imports: [WorkflowModule.forRoot({ store: 'memory', ...(name !== undefined && { name }) }), ...imports],
      providers: [
        { provide: ROOT, useFactory: (root: ModuleRef) => root, inject: [ModuleRef] },
        ...providers,
      ],
    });
    let service: TestedService | undefined;
    // The application may have the module, too: then both have the same service.
    builder.overrideProvider(getWorkflowToken(name)).useFactory({
      factory: (postgres?: Postgres) => (service ??= this.serviceOn(postgres)),
      inject: this.options.store === 'postgres' ? [getPostgresToken(connection)] : [],
    });
    for (const change of this.changes) change(builder);
    const app = make(await builder.compile());
    try {
      await app.init();
    } catch (error) {
      // What went wrong first says more than what goes wrong with it.
      await app.close().catch(() => undefined);
      await service?.close().catch(() => undefined);
      throw error;
    }
    return this.wrap(app, service!, settleMs);
  }

  private serviceOn(postgres: Postgres | undefined): TestedService {
    const {
      store: _,
      schema: __,
      connection: ___,
      name: ____,
      settleTimeout: _____,
      ...settings
    } = this.options;
    return new TestedService(this.storeOn(postgres), { drainTimeout: DRAIN, ...settings });
  }

  private storeOn(postgres: Postgres | undefined): TestStore {
    const { store = 'memory', schema } = this.options;
    if (store === 'memory') return new MemoryTestStore();
    return new PgTestStore(postgres ?? store, schema);
  }

  private override(method: Overridable, token: unknown): Override {
    return {
      useValue: (value) => this.change((builder) => builder[method](token).useValue(value)),
      useClass: (type) => this.change((builder) => builder[method](token).useClass(type)),
      useFactory: (options) => this.change((builder) => builder[method](token).useFactory(options)),
    };
  }

  private change(change: Change): this {
    this.changes.push(change);
    return this;
  }
}
