import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ChannelModule, ChannelService } from '@nestbox/channels';
import { EventHubModule, EventHubService } from '@nestbox/event-hub';
import {
  EventStore,
  EventStoreModule,
  Projection,
  type DocumentProjection,
  type Event,
} from '@nestbox/event-store';
import { KeyValueStore, KvModule } from '@nestbox/kv';
import { Postgres, PostgresModule } from '@nestbox/postgres';
import { eventually, postgresVersionsAtHand, startPostgres, type TestPostgres } from '@nestbox/testing';
import { Workflow, WorkflowModule, WorkflowService, type WorkflowContext } from '@nestbox/workflows';
import type { INestApplicationContext } from '@nestjs/common';
import { Test } from '@nestjs/testing';

/** What docs/guides/backups.md says, with pg_dump and pg_restore. */

const run = promisify(execFile);
const PAGE = join(import.meta.dirname, '../docs/guides/backups.md');
/** Of PostgreSQL's own tools those of the server's version are needed; the embedded one comes without them. */
const tools = postgresVersionsAtHand()
  .flatMap((version) => ('binDir' in version ? [version] : []))
  .find(({ binDir }) => existsSync(join(binDir, 'pg_dump')));

type Counted = Event<'Counted', { by: number }>;

@Projection({ name: 'sums', mode: 'async', events: ['Counted'] })
class Sums implements DocumentProjection<{ sum: number }, Counted> {
  evolve = (document: { sum: number } | null, { data }: Counted) => ({ sum: (document?.sum ?? 0) + data.by });
}

@Workflow({ name: 'approve' })
class Approve {
  static done = 0;

  async run(ctx: WorkflowContext): Promise<string> {
    await ctx.step('count', () => ++Approve.done);
    return ctx.waitForSignal<string>('approved');
  }
}

if (tools === undefined) console.warn('There is no pg_dump on this machine: tests of backups are skipped.');

(tools === undefined ? describe.skip : describe)('a database that was dumped and restored', () => {
  let server: TestPostgres;
  let folder: string;
  const open = new Set<INestApplicationContext>();

  const start = async (url: string): Promise<INestApplicationContext> => {
    const module = await Test.createTestingModule({
      imports: [
        PostgresModule.forRoot({ url }),
        KvModule.forRoot({ store: 'postgres', enableVersioning: true }),
        ChannelModule.forRoot({ store: 'postgres', lease: '2s' }),
        EventHubModule.forRoot({
          store: 'postgres',
          topics: { news: { history: { size: 100, ttl: '1h' } } },
        }),
        EventStoreModule.forRoot(),
        WorkflowModule.forRoot({ lease: '2s' }),
      ],
      providers: [Sums, Approve],
    }).compile();
    const app = await module.init();
    open.add(app);
    return app;
  };

  const stop = async (app: INestApplicationContext): Promise<void> => {
    open.delete(app);
    await app.close();
  };

  /** As the page has it: into another database, beside the original. */
  const copyOf = async (url: string): Promise<string> => {
    const { url: copy } = await server.createDatabase();
    const file = join(folder, 'app.dump');
    await run(join(tools!.binDir, 'pg_dump'), ['--format=custom', `--file=${file}`, url]);
    await run(join(tools!.binDir, 'pg_restore'), ['--no-owner', '--exit-on-error', `--dbname=${copy}`, file]);
    return copy;
  };

  beforeAll(async () => {
    server = await startPostgres({ binDir: tools!.binDir });
    folder = await mkdtemp(join(tmpdir(), 'nestbox-backups-'));
  }, 60_000);

  afterAll(async () => {
    await Promise.all([...open].map(stop));
    await server[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  it('goes on where it was: entries, events, projections, runs that wait, and connections that are no more', async () => {
    const { url } = await server.createDatabase();
    const original = await start(url);
    const [kv, store, workflows, channels] = [
      original.get(KeyValueStore),
      original.get(EventStore),
      original.get(WorkflowService),
      original.get(ChannelService),
    ];
    await kv.set('a', 1);
    await kv.set('a', 2);
    await store.appendToStream('s-1', [{ type: 'Counted', data: { by: 3 } }]);
    await eventually(async () => expect(await store.collection('sums').get('s-1')).toMatchObject({ sum: 3 }));
    await workflows.start(Approve, undefined, { id: 'r' });
    await eventually(async () => expect(await workflows.get('r').status()).toBe('suspended'));
    const transport = { send: () => undefined, close: () => undefined };
    const { id } = await channels.open({ channelName: 'page', transport });

    const copy = await start(await copyOf(url));

    expect(await copy.get(KeyValueStore).entry('a')).toMatchObject({ value: 2, version: 2n });
    expect((await copy.get(KeyValueStore).set('a', 3)).version).toBe(3n);
    await copy.get(EventStore).appendToStream('s-1', [{ type: 'Counted', data: { by: 4 } }]);
    await eventually(async () =>
      expect(await copy.get(EventStore).collection('sums').get('s-1')).toMatchObject({ sum: 7 }),
    );
    await copy.get(EventStore).rebuild('sums');
    await copy.get(WorkflowService).signal('r', 'approved', 'in the copy');
    expect(await copy.get(WorkflowService).get('r').result({ timeout: '30s' })).toBe('in the copy');
    expect(Approve.done).toBe(1);
    // The connection was one of the original's instance, which has no part in the copy.
    const { store: channelsOfCopy } = copy.get(ChannelService);
    await eventually(() =>
      expect(channelsOfCopy.getChannelAndSession(id)).rejects.toMatchObject({ code: 'CHANNEL_NOT_FOUND' }),
    );

    // They share a server, and nothing else.
    expect(await kv.get('a')).toBe(2);
    expect(await store.collection('sums').get('s-1')).toMatchObject({ sum: 3 });
    expect(await workflows.get('r').status()).toBe('suspended');
    expect(await channels.store.getChannelAndSession(id)).toMatchObject({ channelName: 'page' });
    await stop(copy);
    await stop(original);
  }, 120_000);

  it('gives out no number twice after the statements of the page', async () => {
    const { url } = await server.createDatabase();
    const original = await start(url);
    const [kv, store, hub] = [
      original.get(KeyValueStore),
      original.get(EventStore),
      original.get(EventHubService),
    ];
    await kv.set('a', 1);
    await kv.set('gone', 1);
    await kv.revision();
    await store.appendToStream('s-1', [{ type: 'Counted', data: { by: 1 } }]);
    await hub.publish('news', 'before');

    const restored = await copyOf(url);
    // What is lost by the restore, and what somebody outside has seen of it.
    const { version } = await kv.set('a', 2);
    await kv.delete('gone');
    const { version: goneVersion } = await kv.set('gone', 2);
    const revision = await kv.revision();
    const lease = await kv.lease('job', { ttl: '1m' });
    const { lastEventGlobalPosition } = await store.appendToStream('s-1', [
      { type: 'Counted', data: { by: 1 } },
    ]);
    const lost = await hub.publish('news', 'lost');
    await stop(original);

    const [, statements] = /^```sql\n(-- After a restore.*?)^```$/ms.exec(await readFile(PAGE, 'utf8')) ?? [];
    await using admin = {
      postgres: new Postgres(restored),
      [Symbol.asyncDispose]: () => admin.postgres.close(),
    };
    await admin.postgres.query(statements!);
    const copy = await start(restored);

    const after = copy.get(KeyValueStore);
    expect((await after.set('a', 3)).version).toBeGreaterThan(version);
    expect((await after.set('gone', 3)).version).toBeGreaterThan(goneVersion);
    expect(await after.revision()).toBeGreaterThan(revision);
    expect((await after.lease('job', { ttl: '1m' })).fencingToken).toBeGreaterThan(lease.fencingToken);
    const appended = await copy.get(EventStore).appendToStream('s-1', [{ type: 'Counted', data: { by: 1 } }]);
    expect(appended.lastEventGlobalPosition).toBeGreaterThan(lastEventGlobalPosition);
    await eventually(async () =>
      expect(await copy.get(EventStore).collection('sums').get('s-1')).toMatchObject({ sum: 2 }),
    );

    // A page that has seen the lost message is not told that it has missed nothing.
    const transport = { send: () => undefined, close: () => undefined };
    const channel = await copy.get(ChannelService).open({ channelName: 'page', transport });
    await copy.get(EventHubService).publish('news', 'after');
    const { recovered } = await copy.get(EventHubService).subscribe('news', channel.id, {
      since: { epoch: lost.epoch!, offset: lost.offset! },
    });
    expect(recovered).toBe(false);
    await stop(copy);
  }, 120_000);
});
