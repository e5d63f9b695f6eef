import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { Postgres } from '@nestbox/postgres';
import { eventually, spawnFixture, startPostgres, type Fixture, type TestPostgres } from '@nestbox/testing';
import { Workflow, createWorkflows, type WorkflowContext, type WorkflowService } from '@nestbox/workflows';
import { Logger } from '@nestjs/common';
import { killOne } from './fixtures/fault-cluster.js';

const RUNS = 2_000;
const WORKERS = 3;
const SKUS = 20;
const STOCK = 1_000_000;
const LEASE_MS = 1_500;

interface Order {
  sku: string;
  quantity: number;
  parcels: string[];
  mood: 'quick' | 'waits' | 'refused';
}

/** Known here by its name only: the processes run it. */
@Workflow({ name: 'checkout' })
class Checkout {
  async run(_context: WorkflowContext, _input: Order): Promise<{ charge: string; labels: string[] }> {
    throw new Error('It runs elsewhere.');
  }
}

/** Takes money, once for each key; and often fails before, or after that. */
class Provider {
  /** The orders that were charged, by key. */
  readonly charges = new Map<string, string>();
  readonly refunds = new Map<string, string>();
  private readonly server: Server;

  constructor() {
    this.server = createServer((request, response) => void this.answer(request, response));
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { key, order } = JSON.parse(await text(request)) as { key: string; order: string };
    const luck = Math.random();
    await sleep(5 + Math.random() * 30);
    if (luck < 0.1) {
      response.writeHead(503).end();
      return;
    }
    (request.url === '/charge' ? this.charges : this.refunds).set(key, order);
    // It took the money, and nobody hears of it.
    if (luck < 0.15) response.destroy();
    else if (luck > 0.02 + 0.15) response.writeHead(200).end(JSON.stringify({ id: `charge of ${key}` }));
  }
}

let server: TestPostgres;
let postgres: Postgres;
let workflows: WorkflowService;
let provider: Provider;
let address: string;
let workers: Fixture[];
/** All that there were. */
let processes: Fixture[];

beforeEach(async () => {
  for (const level of ['log', 'warn', 'error'] as const) {
    jest.spyOn(Logger.prototype, level).mockImplementation(() => undefined);
  }
  server = await startPostgres();
  postgres = new Postgres({ url: server.url, options: { max: 4 } });
  workflows = createWorkflows(postgres);
  await workflows.init();
  await postgres.query(
    `create schema shop;
     create table shop.stock (sku text primary key, quantity integer not null);
     create table shop.done (run_id text not null, what text not null);
     create table shop.released (run_id text primary key);
     insert into shop.stock select 'sku ' || i, ${STOCK} from generate_series(0, ${SKUS - 1}) as i`,
  );
  provider = new Provider();
  address = await provider.listen();
  workers = [];
  processes = [];
});

afterEach(async () => {
  await Promise.all(processes.map((worker) => worker.kill()));
  await workflows.close();
  await postgres.close();
  await provider.close();
  await server[Symbol.asyncDispose]();
  jest.restoreAllMocks();
});

async function spawnWorker(): Promise<Fixture> {
  const worker = await spawnFixture(new URL('./fixtures/checkout-worker.mjs', import.meta.url), {
    args: [server.url, address, String(LEASE_MS)],
  });
  processes.push(worker);
  return worker;
}

/** Until the database can be asked. */
async function insist<T>(fn: () => Promise<T>): Promise<T> {
  return eventually(async () => ({ result: await fn() }), { timeoutMs: 60_000 }).then(({ result }) => result);
}

function orderOf(n: number): Order {
  const parcels = Array.from({ length: 1 + (n % 3) }, (_, i) => `parcel ${i}`);
  const mood = n % 10 === 0 ? 'refused' : n % 7 === 0 ? 'waits' : 'quick';
  return { sku: `sku ${n % SKUS}`, quantity: 1 + (n % 4), parcels, mood };
}

const orders = new Map(Array.from({ length: RUNS }, (_, n) => [`order ${n}`, orderOf(n)]));

async function endedRuns(): Promise<number> {
  const counts = (await insist(() => workflows.counts()))['checkout'] ?? {};
  return (counts.completed ?? 0) + (counts.failed ?? 0) + (counts.dead ?? 0) + (counts.stuck ?? 0);
}

/** Starts them, so many at a time that there is always something to do. */
async function startAll(): Promise<void> {
  const left = [...orders];
  let started = 0;
  while (left.length > 0) {
    const batch = left.splice(0, 50);
    await Promise.all(batch.map(([id, order]) => insist(() => workflows.start(Checkout, order, { id }))));
    started += batch.length;
    await eventually(async () => started - (await endedRuns()) < 400, { timeoutMs: 300_000 });
  }
}

async function rows<R extends Record<string, unknown>>(statement: string): Promise<R[]> {
  return postgres.query<R>(statement);
}

describe('2,000 checkouts in three processes of which one is killed every second', () => {
  it('all end, with each transaction done once and each customer charged once, though PostgreSQL restarts twice', async () => {
    const began = performance.now();
    for (let i = 0; i < WORKERS; i++) workers.push(await spawnWorker());
    await Promise.all(workers.map((worker) => worker.waitFor('started', 30_000)));
    let isOver = false;
    let kills = 0;
    let restarts = 0;
    const starting = startAll();
    const killing = (async () => {
      while (!isOver) {
        await killOne(workers, spawnWorker);
        kills++;
      }
    })();
    const restarting = (async () => {
      for (const part of [0.3, 0.6]) {
        await eventually(async () => (await endedRuns()) > RUNS * part, { timeoutMs: 300_000 });
        await server.restart();
        restarts++;
      }
    })();
    killing.catch(() => undefined);
    restarting.catch(() => undefined);
    try {
      await starting;
      await eventually(async () => (await endedRuns()) === RUNS, { timeoutMs: 300_000 });
      await restarting;
    } finally {
      isOver = true;
    }
    await killing;
    console.error(
      `${RUNS} checkouts in ${((performance.now() - began) / 1000).toFixed(1)} s, ${kills} kills, ${restarts} restarts of PostgreSQL`,
    );
    expect(kills).toBeGreaterThan(5);
    expect(restarts).toBe(2);

    // Every run has ended as its input has it.
    const ended = await rows<{ id: string; status: string; error: string | null }>(
      `select id, status, error ->> 'message' as error from workflows.workflow_runs where status <> 'completed' order by id`,
    );
    const refused = [...orders].filter(([, { mood }]) => mood === 'refused').map(([id]) => id);
    expect(ended).toEqual(
      refused.toSorted().map((id) => ({ id, status: 'failed', error: 'The customer has refused it.' })),
    );
    expect(await rows('select run_id from workflows.workflow_active')).toEqual([]);

    // Every transaction has happened once.
    const done = await rows<{ run_id: string; what: string }>('select run_id, what from shop.done');
    const expected = [...orders].flatMap(([id, { parcels, mood }]) =>
      [
        'reserve',
        ...parcels.map((parcel) => `book ${parcel}`),
        ...(mood === 'refused' ? [] : ['finish']),
      ].map((what) => `${id}: ${what}`),
    );
    expect(done.map((row) => `${row.run_id}: ${row.what}`).toSorted()).toEqual(expected.toSorted());
    const released = await rows<{ run_id: string }>(
      'select run_id from shop.released order by run_id collate "C"',
    );
    expect(released.map(({ run_id: id }) => id)).toEqual(refused.toSorted());

    // Stock adds up.
    const [stock] = await rows<{ left: number }>('select sum(quantity)::integer as left from shop.stock');
    const sold = [...orders.values()].filter(({ mood }) => mood !== 'refused');
    expect(stock!.left).toBe(SKUS * STOCK - sold.reduce((sum, { quantity }) => sum + quantity, 0));

    // Each order was charged under one key, and paid back when it was refused.
    expect([...provider.charges.values()].toSorted()).toEqual([...orders.keys()].toSorted());
    expect([...provider.refunds.values()].toSorted()).toEqual(refused.toSorted());

    // No error in silence, and none in the runs themselves.
    for (const worker of workers) await worker.waitFor('started', 30_000);
    expect(await Promise.all(workers.map((worker) => worker.kill('SIGTERM')))).toEqual(
      workers.map(() => ({ code: 0, signal: null })),
    );
    for (const { stderr } of processes) {
      expect(stderr).not.toMatch(/unhandled|came to a halt|was refused|could not be undone|does not fit/i);
    }
  }, 400_000);
});
