/* oxlint-disable jest/no-standalone-expect -- the commands run inside the test at the end */
/// <reference types="jest" />
import type { EventStore, ExpectedStreamVersion } from '@nestbox/event-store';
import fc from 'fast-check';
import {
  added,
  collect,
  unique,
  valuesOf,
  type Added,
  type Change,
  type EventStoreSuite,
} from './subject.js';

/** A stream, as plain as can be. */
interface ModelStream {
  state: 'open' | 'archived' | 'deleted';
  values: number[];
  /** Where the ids of messages were used. */
  ids: Map<string, number>;
}

/** What a partition has to hold. */
interface Model {
  streams: Map<string, ModelStream>;
  log: { stream: string; value: number }[];
}

interface Real {
  store: EventStore;
  partition: string;
}

type StoreCommand = fc.AsyncCommand<Model, Real>;

const STREAMS = ['cart-1', 'cart-2', 'order-🦊'];
const stream = fc.constantFrom(...STREAMS);
const kind = fc.constantFrom<'none' | 'right' | 'wrong' | 'STREAM_EXISTS' | 'STREAM_DOES_NOT_EXIST'>(
  'none',
  'none',
  'right',
  'right',
  'wrong',
  'STREAM_EXISTS',
  'STREAM_DOES_NOT_EXIST',
);
const ids = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 3 });

let values = 0;

function command(name: string, run: (model: Model, real: Real) => Promise<void>): StoreCommand {
  return { check: () => true, run, toString: () => name };
}

function found(model: Model, name: string): ModelStream {
  return model.streams.get(name) ?? { state: 'open', values: [], ids: new Map() };
}

/** To those who ask, a deleted stream has no events. */
function versionOf({ state, values: its }: ModelStream): bigint {
  return state === 'deleted' ? 0n : BigInt(its.length);
}

function expectationOf(version: bigint, which: string): ExpectedStreamVersion {
  if (which === 'none') return 'NO_CONCURRENCY_CHECK';
  if (which === 'right') return version;
  return which === 'wrong' ? version + 1n : (which as ExpectedStreamVersion);
}

function holds(version: bigint, expected: ExpectedStreamVersion): boolean {
  if (expected === 'NO_CONCURRENCY_CHECK') return true;
  if (expected === 'STREAM_EXISTS') return version > 0n;
  if (expected === 'STREAM_DOES_NOT_EXIST') return version === 0n;
  return version === expected;
}

/** What an append has to come to: the code of an error, or the version that it gives. */
function appendTo(
  model: Model,
  name: string,
  events: readonly Added[],
  expected: ExpectedStreamVersion,
): string | bigint {
  const its = found(model, name);
  if (its.state === 'deleted') return 'STREAM_DELETED';
  const known = events.flatMap(({ messageId }) =>
    messageId === undefined ? [] : (its.ids.get(messageId) ?? []),
  );
  if (known.length > 0) {
    return known.length === events.length ? BigInt(Math.max(...known)) : 'DUPLICATE_MESSAGE';
  }
  if (its.state === 'archived') return 'STREAM_ARCHIVED';
  if (!holds(versionOf(its), expected)) return 'EXPECTED_VERSION_CONFLICT';
  for (const { messageId, data } of events) {
    its.values.push(data.n);
    if (messageId !== undefined) its.ids.set(messageId, its.values.length);
    model.log.push({ stream: name, value: data.n });
  }
  model.streams.set(name, its);
  return versionOf(its);
}

async function append(
  model: Model,
  { store, partition }: Real,
  name: string,
  events: readonly Added[],
  which: string,
): Promise<void> {
  const before = versionOf(found(model, name));
  const expectedStreamVersion = expectationOf(before, which);
  const expected = appendTo(model, name, events, expectedStreamVersion);
  const outcome = await store.appendToStream(name, events, { partition, expectedStreamVersion }).then(
    ({ nextExpectedStreamVersion }) => nextExpectedStreamVersion,
    (error: { code: string; current?: bigint }) => {
      if (error.code === 'EXPECTED_VERSION_CONFLICT') expect(error.current).toBe(before);
      return error.code;
    },
  );
  expect(outcome).toBe(expected);
}

const fresh = (count: number): Added[] => Array.from({ length: count }, () => added(++values));

const ranges = fc.record({
  from: fc.option(fc.bigInt({ min: 0n, max: 9n }), { nil: undefined }),
  to: fc.option(fc.bigInt({ min: 0n, max: 9n }), { nil: undefined }),
  maxCount: fc.option(fc.bigInt({ min: 0n, max: 5n }), { nil: undefined }),
});

const commands = [
  fc
    .tuple(stream, fc.integer({ min: 1, max: 3 }), kind)
    .map(([name, count, which]) =>
      command(`append ${count} to ${name} if ${which}`, (model, real) =>
        append(model, real, name, fresh(count), which),
      ),
    ),
  fc.tuple(stream, ids, kind).map(([name, own, which]) =>
    command(`append ${own.join('')} to ${name} if ${which}`, (model, real) =>
      append(
        model,
        real,
        name,
        own.map((messageId) => ({ ...added(++values), messageId })),
        which,
      ),
    ),
  ),
  fc.tuple(fc.array(stream, { maxLength: 4 }), fc.boolean()).map(([names, commits]) =>
    command(`session of ${names.join()} ${commits ? 'committed' : 'rolled back'}`, async (model, real) => {
      const usable = names.filter((name) => found(model, name).state === 'open');
      const before = commits ? undefined : structuredClone(model);
      const session = real.store.withSession(async () => {
        for (const name of usable) await append(model, real, name, fresh(1), 'right');
        if (!commits) throw new Error('rolled back');
      });
      if (before === undefined) return session;
      await expect(session).rejects.toThrow('rolled back');
      Object.assign(model, before);
      return undefined;
    }),
  ),
  fc.tuple(stream, fc.boolean()).map(([name, archives]) =>
    command(`${archives ? 'archive' : 'unarchive'} ${name}`, async (model, { store, partition }) => {
      const its = model.streams.get(name);
      const isThere = its !== undefined && its.state !== 'deleted';
      const call = archives
        ? store.archiveStream(name, { partition })
        : store.unarchiveStream(name, { partition });
      expect(await call).toBe(isThere);
      if (isThere) its.state = archives ? 'archived' : 'open';
    }),
  ),
  fc
    .tuple(fc.constantFrom(...STREAMS.slice(1)), fc.constantFrom('right', 'wrong', 'STREAM_EXISTS'))
    .map(([name, which]) =>
      command(`delete ${name} if ${which}`, async (model, { store, partition }) => {
        const its = found(model, name);
        const version = versionOf(its);
        const expectedStreamVersion = expectationOf(version, which);
        const deletion = store.deleteStream(name, { partition, expectedStreamVersion });
        if (!holds(version, expectedStreamVersion)) {
          await expect(deletion).rejects.toMatchObject({
            code: 'EXPECTED_VERSION_CONFLICT',
            current: version,
          });
          return;
        }
        expect(await deletion).toBe(version > 0n);
        if (version === 0n) return;
        its.state = 'deleted';
        model.log = model.log.filter((entry) => entry.stream !== name);
      }),
    ),
  fc.tuple(stream, ranges, fc.boolean()).map(([name, { from, to, maxCount }, backwards]) =>
    command(
      `read ${name} ${from}…${to}, ${maxCount}${backwards ? ' backwards' : ''}`,
      async (model, real) => {
        const its = found(model, name);
        const [low, high] = backwards ? [to, from] : [from, to];
        const inRange = (_: number, i: number): boolean =>
          BigInt(i) + 1n >= (low ?? 0n) && (high === undefined || BigInt(i) < high);
        const all = its.state === 'deleted' ? [] : its.values.filter(inRange);
        if (backwards) all.reverse();
        const { events, currentStreamVersion, streamExists } = await real.store.readStream<Change>(name, {
          partition: real.partition,
          backwards,
          ...(from !== undefined && { from }),
          ...(to !== undefined && { to }),
          ...(maxCount !== undefined && { maxCount }),
        });
        expect(valuesOf(events)).toEqual(all.slice(0, maxCount === undefined ? undefined : Number(maxCount)));
        expect(currentStreamVersion).toBe(versionOf(its));
        expect(streamExists).toBe(versionOf(its) > 0n);
      },
    ),
  ),
  fc.integer({ min: 1, max: 5 }).map((limit) =>
    command(`read the log by pages of ${limit}`, async (model, { store, partition }) => {
      const entries: Model['log'] = [];
      let after = 0n;
      for (let isEnd = false; !isEnd;) {
        const page = await store.readAll<Change>({ partition, after, limit });
        entries.push(
          ...page.events.map(({ data, metadata }) => ({ stream: metadata.streamName, value: data.n })),
        );
        ({ position: after, isEnd } = page);
      }
      expect(entries).toEqual(model.log);
    }),
  ),
  fc.constant(
    command('read everything', async (model, { store, partition }) => {
      const { streams } = await store.listStreams({ partition });
      const listed = new Map(streams.map(({ streamName, state }) => [streamName, state]));
      for (const name of STREAMS) {
        const its = model.streams.get(name);
        expect(listed.get(name)).toBe(its?.state);
        expect(await store.streamExists(name, { partition })).toBe(versionOf(found(model, name)) > 0n);
      }
      const inCategory = await collect(store.readAll({ partition, category: 'cart' }));
      const expected = model.log
        .filter((entry) => entry.stream.startsWith('cart-'))
        .map(({ value }) => value);
      expect(valuesOf(inCategory)).toEqual(expected);
    }),
  ),
];

export function modelled(suite: EventStoreSuite): void {
  it('behaves like plain arrays, whatever is done to it', async () => {
    // On data without collections, of which each partition would have tables.
    await suite.own(async ({ store }) => {
      await fc.assert(
        fc.asyncProperty(fc.commands(commands, { maxCommands: 40 }), async (sequence) => {
          const partition = unique('model');
          await store.partitions.create(partition);
          const model = (): Model => ({ streams: new Map(), log: [] });
          await fc.asyncModelRun(() => ({ model: model(), real: { store, partition } }), sequence);
          await store.partitions.drop(partition);
        }),
        { numRuns: 40 },
      );
    });
  });
}
