import 'reflect-metadata';
import { EventHubModule, EventHubService } from '@nestbox/event-hub';
import { ChannelModule } from '@nestbox/channels';
import {
  EventStore,
  EventStoreModule,
  Projection,
  type ProjectionHandler,
  type ReadEvent,
} from '@nestbox/event-store';
import { KeyValueStore, KvModule } from '@nestbox/kv';
import { Postgres, PostgresModule } from '@nestbox/postgres';
import { type TestDatabase, eventually, testDatabase } from '@nestbox/testing';
import {
  RepositoryOutsideRunError,
  Transactional,
  TransactionsNotInjectedError,
  TypeOrmTransactions,
  TypeOrmTransactionsModule,
  getTypeOrmTransactionsToken,
} from '@nestbox/typeorm';
import { Workflow, WorkflowModule, WorkflowService, type WorkflowContext } from '@nestbox/workflows';
import { Controller, Injectable, Module, Post, Scope, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { InjectRepository, TypeOrmModule, getDataSourceToken } from '@nestjs/typeorm';
import { type DataSource, EntitySchema, type Repository } from 'typeorm';

interface Note {
  id: string;
  text: string;
}
const NOTE = new EntitySchema<Note>({
  name: 'Note',
  tableName: 'note',
  columns: { id: { type: 'text', primary: true }, text: { type: 'text' } },
});

@Injectable()
class Notes {
  constructor(@InjectRepository(NOTE) private readonly notes: Repository<Note>) {}

  @Transactional()
  async write(id: string, text = 'text'): Promise<Note> {
    return this.notes.save({ id, text });
  }

  ids(): Promise<string[]> {
    return this.notes.find({ order: { id: 'asc' } }).then((all) => all.map(({ id }) => id));
  }

  saveOutside(id: string): Promise<Note> {
    return this.notes.save({ id, text: 'outside' });
  }
}

@Injectable()
class Desk {
  constructor(
    readonly notes: Notes,
    readonly kv: KeyValueStore<string>,
    readonly events: EventStore,
    readonly workflows: WorkflowService,
    readonly hub: EventHubService,
  ) {}

  @Transactional()
  async everything(id: string, fails: boolean): Promise<string> {
    await this.notes.write(id);
    await this.kv.set(id, 'value');
    await this.events.appendToStream(`note-${id}`, [{ type: 'NoteWritten', data: { id } }]);
    await this.workflows.start(Review, id, { id: `review-${id}` });
    await this.hub.publish('notes', { id });
    if (fails) throw new Error(`no ${id}`);
    return id;
  }

  @Transactional()
  async atOnce(ids: readonly string[]): Promise<void> {
    for (const id of ids) await this.notes.write(id).catch(() => undefined);
  }
}

@Injectable({ scope: Scope.TRANSIENT })
class Draft {
  constructor(readonly transactions: TypeOrmTransactions) {}

  @Transactional()
  async isInside(): Promise<boolean> {
    return this.transactions.manager.queryRunner!.isTransactionActive;
  }
}

@Controller('notes')
class NotesController {
  @Transactional()
  @Post('below')
  async below(): Promise<void> {
    await Promise.resolve();
  }
}

@Workflow({ name: 'review' })
class Review {
  constructor(private readonly notes: Notes) {}

  async run(context: WorkflowContext, id: string): Promise<string> {
    const outside = await context.transaction('outside', async () => {
      const refusal = await this.notes.saveOutside(`outside-${id}`).catch((error: unknown) => error);
      return refusal instanceof RepositoryOutsideRunError;
    });
    await context.transaction('write', async () => this.notes.write(`reviewed-${id}`));
    return outside ? 'refused' : 'not refused';
  }
}

@Projection({ name: 'note-index', events: ['NoteWritten'], mode: 'inline' })
class NoteIndex implements ProjectionHandler {
  constructor(private readonly transactions: TypeOrmTransactions) {}

  async handle(events: readonly ReadEvent[]): Promise<void> {
    const { manager } = this.transactions;
    for (const {
      metadata: { streamName },
    } of events) {
      await manager.save(NOTE, { id: `index-${streamName}`, text: 'inline' });
    }
  }
}

@Projection({ name: 'note-log', events: ['NoteWritten'], mode: 'async' })
class NoteLog implements ProjectionHandler {
  constructor(private readonly notes: Notes) {}

  async handle(events: readonly ReadEvent[]): Promise<void> {
    for (const {
      metadata: { streamName },
    } of events)
      await this.notes.write(`log-${streamName}`, 'async');
  }
}

let database: TestDatabase;
let reports: TestDatabase;
let app: INestApplicationContext;

const options = (url: string) => ({
  type: 'postgres' as const,
  url,
  entities: [NOTE],
  synchronize: true,
  manualInitialization: false,
  retryAttempts: 0,
});

beforeAll(async () => {
  database = await testDatabase();
  reports = await testDatabase();

  @Module({
    imports: [
      PostgresModule.forRoot({ url: database.url }),
      PostgresModule.forRoot({ url: reports.url, name: 'reports' }),
      TypeOrmModule.forRoot(options(database.url)),
      TypeOrmModule.forRoot({ ...options(reports.url), name: 'reports' }),
      TypeOrmModule.forFeature([NOTE]),
      TypeOrmTransactionsModule.forRoot(),
      TypeOrmTransactionsModule.forRootAsync({
        name: 'reports',
        dataSource: 'reports',
        connection: 'reports',
        useFactory: () => ({ isolationLevel: 'serializable' as const }),
      }),
      KvModule.forRoot({ store: 'postgres' }),
      EventStoreModule.forRoot({}),
      WorkflowModule.forRoot({}),
      ChannelModule.forRoot({ store: 'postgres' }),
      EventHubModule.forRoot({ store: 'postgres', topics: { '**': { history: { size: 100, ttl: '1h' } } } }),
    ],
    controllers: [NotesController],
    providers: [Notes, Desk, Draft, Review, NoteIndex, NoteLog],
  })
  class AppModule {}

  app = await NestFactory.createApplicationContext(AppModule, { logger: false, abortOnError: false });
});

afterAll(async () => {
  await app.close();
  await database.drop();
  await reports.drop();
});

beforeEach(() => app.get(DataSourceOf()).query('truncate note'));

function DataSourceOf(): never {
  return getDataSourceToken() as never;
}

describe('TypeOrmTransactionsModule', () => {
  it('makes one transaction of entities, events, key-value writes, workflows and publishes', async () => {
    const desk = app.get(Desk);
    const heard: unknown[] = [];
    using _ = desk.hub.on('notes', (message) => void heard.push(message));

    await expect(desk.everything('b', true)).rejects.toThrow('no b');
    await desk.everything('a', false);
    expect(await app.get(WorkflowService).get('review-a').result()).toBe('refused');

    await eventually(async () => {
      expect(await desk.notes.ids()).toEqual(['a', 'index-note-a', 'log-note-a', 'reviewed-a']);
    });
    expect(await desk.kv.getAll()).toEqual({ a: 'value' });
    expect((await desk.events.readStream('note-b')).streamExists).toBe(false);
    expect((await desk.events.readStream('note-a')).currentStreamVersion).toBe(1n);
    await expect(app.get(WorkflowService).get('review-b').status()).rejects.toThrow(/review-b/);
    await eventually(() => expect(heard).toHaveLength(1));
    expect(heard[0]).toEqual({ id: 'a' });
  });

  it('makes savepoints of nested @Transactional methods', async () => {
    const desk = app.get(Desk);
    await desk.atOnce(['x', 'nul\0', 'y']);
    expect(await desk.notes.ids()).toEqual(['x', 'y']);
  });

  it('injects itself into what Nest makes, of any scope, and refuses other objects', async () => {
    const draft = await app.resolve(Draft);
    expect(await draft.isInside()).toBe(true);
    const notes = new Notes(app.get(DataSourceOf()));
    await expect(notes.write('z')).rejects.toThrow(TransactionsNotInjectedError);
    await expect(notes.write('z')).rejects.toThrow(/Notes\.write is @Transactional.*forRoot\(\)/);
  });

  it('refuses to stand on what is no method of an object', () => {
    class Wrong {
      static async place(): Promise<void> {}
      get late(): () => Promise<void> {
        return async () => undefined;
      }
    }
    const { place, late } = {
      place: Object.getOwnPropertyDescriptor(Wrong, 'place')!,
      late: Object.getOwnPropertyDescriptor(Wrong.prototype, 'late')!,
    };
    expect(() => Transactional()(Wrong, 'place', place)).toThrow(
      /^Invalid @Transactional\(\) of Wrong\.place: stands on a static method/,
    );
    expect(() => Transactional()(Wrong.prototype, 'late', late)).toThrow(
      /Wrong\.late: stands on something that is not a method/,
    );
  });

  it('keeps the metadata of decorators below it, and the name of the method', () => {
    const { below } = NotesController.prototype;
    expect(Reflect.getMetadata('path', below)).toBe('below');
    expect(below.name).toBe('below');
  });

  it('serves several data sources by name, each with its own PostgresModule', async () => {
    const named: TypeOrmTransactions = app.get(getTypeOrmTransactionsToken('reports'));
    const first = app.get(TypeOrmTransactions);
    await first.run(async (manager) => {
      await manager.save(NOTE, { id: 'first', text: '' });
      await named.run(async (other) => {
        await other.save(NOTE, { id: 'second', text: '' });
        expect(await other.query('show transaction_isolation')).toEqual([
          { transaction_isolation: 'serializable' },
        ]);
      });
      await app.get(Notes).saveOutside('joined');
    });
    expect(await app.get(Notes).ids()).toEqual(['first', 'joined']);
    const other: DataSource = app.get(getDataSourceToken('reports'));
    expect(await other.getRepository(NOTE).find()).toEqual([{ id: 'second', text: '' }]);
  });

  it('leaves the data source as it was when the application closes', async () => {
    const source = app.get<DataSource>(DataSourceOf());
    const transactions = new TypeOrmTransactions({ dataSource: source, postgres: app.get(Postgres) });
    const before = source.createQueryRunner;
    await transactions.init();
    expect(source.createQueryRunner).not.toBe(before);
    transactions.close();
    transactions.close();
    await app.get(Notes).write('a');
    expect(await app.get(Notes).ids()).toEqual(['a']);
  });

  it('says what is missing at start', async () => {
    @Module({
      imports: [
        PostgresModule.forRoot({ url: reports.url }),
        TypeOrmModule.forRoot(options(database.url)),
        TypeOrmTransactionsModule.forRoot(),
      ],
    })
    class Mixed {}
    const starting = NestFactory.createApplicationContext(Mixed, { logger: false, abortOnError: false });
    await expect(starting).rejects.toThrow(/another database/);
  });
});
