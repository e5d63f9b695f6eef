import { randomInt } from 'node:crypto';
import { jest } from '@jest/globals';
import type { HubMessage } from '@nestbox/event-hub';
import { eventually, testDatabase, type TestDatabase } from '@nestbox/testing';
import fc from 'fast-check';
import { NOTES, openSubject, type Subject, TOPIC } from './fixtures/one-transaction/app.mjs';
import { type Kind, KINDS, type Plan, plans, survivorsOf } from './fixtures/one-transaction/plan.mjs';
import { Fleet } from './support/fleet.js';

/** Processes are killed and started, on a machine that may be busy. */
jest.setTimeout(240_000);

let database: TestDatabase;
let subject: Subject;
/** What a subscriber of the topic has got. */
let heard: string[];

beforeEach(async () => {
  database = await testDatabase();
  subject = await openSubject(database.url, { synchronize: true });
  heard = [];
  subject.hub.on(TOPIC, (data) => heard.push((data as { leaf: string }).leaf));
});

afterEach(async () => {
  await subject.close();
  await database.drop();
});

/** The leaves that each system knows. */
async function known(): Promise<Record<Kind, string[]>> {
  const { postgres, items, kv, hub, channels } = subject;
  const entities = await items.find();
  const events = await postgres.query<{ leaf: string }>(
    `select message_data ->> 'leaf' as leaf from event_store.emt_messages where message_type = 'Noted'`,
  );
  const runs = await postgres.query<{ id: string }>('select id from workflows.workflow_runs');
  const messages = await historyOf(hub);
  const rows = await postgres.query<{ id: string }>(
    `select channel_id as id from serverless.lambda_channels where channel_name = 'leaf'`,
  );
  expect(rows).toHaveLength(await channels.store.count());
  return {
    entity: entities.map(({ id }) => id),
    event: events.map(({ leaf }) => leaf),
    kv: Object.keys(await kv.getAll()),
    workflow: runs.map(({ id }) => id),
    hub: messages.map(({ data }) => (data as { leaf: string }).leaf),
    channel: rows.map(({ id }) => id),
  };
}

/** All messages of the topic. */
async function historyOf(hub: Subject['hub']): Promise<HubMessage[]> {
  const [newest] = await hub.history(TOPIC, { limit: 1 });
  const messages: HubMessage[] = [];
  while (newest !== undefined && messages.at(-1)?.offset !== newest.offset) {
    const since = { epoch: newest.epoch, offset: messages.at(-1)?.offset ?? 0 };
    messages.push(...(await hub.history(TOPIC, { since, limit: 1000 })));
  }
  return messages;
}

/** The leaves by transaction, each in order. */
function byTransaction(leaves: readonly string[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const leaf of leaves.toSorted()) {
    const transaction = leaf.split('.')[0]!;
    found.set(transaction, [...(found.get(transaction) ?? []), leaf]);
  }
  return found;
}

/**
 * Looks into all systems: of each transaction there is all that its plan says, or nothing anywhere.
 *
 * @returns which transactions are there
 */
async function agreed(planned: ReadonlyMap<string, Plan>): Promise<Set<string>> {
  const systems = await known();
  const present = new Set(KINDS.flatMap((kind) => [...byTransaction(systems[kind]).keys()]));
  const expected = Object.fromEntries(KINDS.map((kind) => [kind, new Array<string>()]));
  for (const transaction of present) {
    const survivors = survivorsOf(transaction, planned.get(transaction)!);
    for (const kind of KINDS) expected[kind]!.push(...survivors[kind]);
  }
  const sorted = (all: Record<string, string[]>) =>
    Object.fromEntries(KINDS.map((kind) => [kind, all[kind]!.toSorted()]));
  expect(sorted(systems)).toEqual(sorted(expected));

  // What is made of them, with them and after them.
  const documents = await subject.events.collection<{ leaves: string[] }>(NOTES).find({}, { limit: 1000 });
  const noted = documents.map(({ _id, leaves }) => [_id, leaves.toSorted()] as const);
  const events = [...byTransaction(systems.event)].map(([id, leaves]) => [`tx-${id}`, leaves] as const);
  expect(new Map(noted)).toEqual(new Map(events));
  await eventually(() => expect(heard.toSorted()).toEqual(systems.hub.toSorted()), { timeoutMs: 20_000 });
  await eventually(
    async () => {
      const states = await subject.postgres.query(
        'select status, count(*)::int as count from workflows.workflow_runs group by status',
      );
      expect(states).toEqual([{ status: 'completed', count: systems.workflow.length }]);
    },
    { timeoutMs: 60_000 },
  );
  return present;
}

describe('A transaction over TypeORM, events, key-value store, workflows, hub and channels', () => {
  it('is in all of them or in none, whatever its order, its savepoints and its end', async () => {
    const planned = new Map<string, Plan>();
    const committed = new Set<string>();
    await fc.assert(
      fc.asyncProperty(plans, async (plan) => {
        const transaction = String(planned.size);
        planned.set(transaction, plan);
        if (await subject.run(transaction, plan)) committed.add(transaction);
        expect(committed.has(transaction)).toBe(plan.ends === 'commits');
      }),
      { numRuns: 60, endOnFailure: true },
    );
    expect(await agreed(planned)).toEqual(committed);
  });

  it('is so with 500 at once in processes that are killed in the middle', async () => {
    const fleet = new Fleet(database.url, randomInt(2 ** 30), 500);
    await using _ = fleet;
    await fleet.run();
    const { committed, rolledBack, unknown, surprises } = fleet;
    try {
      expect(surprises).toEqual([]);
      expect(unknown.size).toBeGreaterThan(0);
      const present = await agreed(fleet.planned);
      expect([...committed].filter((id) => !present.has(id))).toEqual([]);
      expect([...rolledBack].filter((id) => present.has(id))).toEqual([]);
      expect([...present].filter((id) => !committed.has(id) && !unknown.has(id))).toEqual([]);
      expect(rolledBack.size).toBeGreaterThan(100);
    } catch (error) {
      throw new Error(`Seed ${fleet.seed}: ${String(error)}`, { cause: error });
    }
  });
});
