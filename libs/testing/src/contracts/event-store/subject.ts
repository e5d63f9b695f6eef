/// <reference types="jest" />
import {
  EventStore,
  type Event,
  type EventStoreBackend,
  type EventStoreSettings,
  type ReadEvent,
} from '@nestbox/event-store';

/** A backend that the contract is put to. */
export interface EventStoreContractSubject {
  /** Empty, and nobody else's. The suite closes it. */
  backend: EventStoreBackend;
  /** Opens another one on the same data, as another process would. Absent where nobody else can. */
  another?: () => Promise<EventStoreBackend>;
  /** Called when the backends have been closed. */
  dispose?: () => Promise<void>;
}

/** What the contract of event stores is tried on. */
export interface EventStoreContractOptions {
  create: () => Promise<EventStoreContractSubject>;
}

/** What a test works on. Others use the same data, under other names. */
export interface Scene {
  store: EventStore;
  /** A store on the same data whose backend is another one, as in another process. */
  elsewhere: (settings?: EventStoreSettings) => Promise<EventStore>;
}

/** The part of the contract that is about one thing. */
export type EventStoreContractPart = (suite: EventStoreSuite) => void;

interface Opened {
  backend: EventStoreBackend;
  other: EventStoreBackend;
  stores: EventStore[];
  dispose: (() => Promise<void>) | undefined;
}

/** The subjects of a suite. Most tests share one; those that look at everything in it have one of their own. */
export class EventStoreSuite {
  private shared: Promise<Opened> | undefined;
  private readonly tenants: { store: EventStore; partition: string }[] = [];

  constructor(private readonly options: EventStoreContractOptions) {}

  /** Stores on the data that tests share; each uses names that no other test does, such as {@link unique} gives. */
  async scene(settings?: EventStoreSettings): Promise<Scene> {
    this.shared ??= this.open();
    return sceneOf(await this.shared, settings);
  }

  /** A store, and a new and empty partition of the data that tests share. It is dropped when the test is over. */
  async tenant(settings?: EventStoreSettings): Promise<Scene & { partition: string }> {
    const scene = await this.scene(settings);
    const partition = unique('tenant');
    await scene.store.partitions.create(partition);
    this.tenants.push({ store: scene.store, partition });
    return { ...scene, partition };
  }

  /** Stores on empty data for one test, to be closed or looked at as a whole. */
  async own<R>(fn: (scene: Scene) => Promise<R>, settings?: EventStoreSettings): Promise<R> {
    const opened = await this.open();
    try {
      return await fn(sceneOf(opened, settings));
    } finally {
      await close(opened);
    }
  }

  /** Each partition has tables for each collection, so that those of all tests would be many. */
  async dropTenants(): Promise<void> {
    for (const { store, partition } of this.tenants.splice(0)) await store.partitions.drop(partition);
  }

  async close(): Promise<void> {
    if (this.shared !== undefined) await close(await this.shared);
  }

  private async open(): Promise<Opened> {
    const { backend, another, dispose } = await this.options.create();
    return { backend, other: (await another?.()) ?? backend, stores: [], dispose };
  }
}

function sceneOf(opened: Opened, settings?: EventStoreSettings): Scene {
  const storeOn = (backend: EventStoreBackend, its?: EventStoreSettings): EventStore => {
    const store = new EventStore(backend, its);
    opened.stores.push(store);
    return store;
  };
  return {
    store: storeOn(opened.backend, settings),
    elsewhere: async (its = settings) => {
      const store = storeOn(opened.other, its);
      await store.init();
      return store;
    },
  };
}

async function close({ stores, backend, other, dispose }: Opened): Promise<void> {
  // Consumers end first, while what they read is still there.
  for (const store of stores) await store.close();
  await Promise.all([backend.close(), other.close()]);
  await dispose?.();
}

let names = 0;

/** A name that no other test uses, such as `cart-7`. */
export function unique(prefix: string): string {
  return `${prefix}-${++names}`;
}

export type Added = Event<'Added', { n: number }>;
export type Removed = Event<'Removed', { n: number }>;
/** The events of most tests. */
export type Change = Added | Removed;

export function added(n: number): Added {
  return { type: 'Added', data: { n } };
}

export function removed(n: number): Removed {
  return { type: 'Removed', data: { n } };
}

/** The same event with an id of its own. */
export function withId<E extends Event>(messageId: string, event: E): E {
  return { ...event, messageId };
}

/** So many events, numbered from 1. */
export function addedUpTo(count: number): Added[] {
  return numbers(count).map((i) => added(i + 1));
}

/** What tells the events of most tests apart. */
export function valuesOf(events: readonly { data: unknown }[]): number[] {
  return events.map(({ data }) => (data as Change['data']).n);
}

export function positionsOf(events: readonly ReadEvent[]): bigint[] {
  return events.map(({ metadata }) => metadata.globalPosition);
}

/** The numbers of a stream's events. */
export async function valuesIn(store: EventStore, stream: string, partition?: string): Promise<number[]> {
  const { events } = await store.readStream<Change>(stream, partition === undefined ? {} : { partition });
  return valuesOf(events);
}

/** The error that a promise rejects with. */
export async function failureOf(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('It should have failed, but did not.');
}

/** A session that has done something and stays open until it is told how to end. */
export async function openSession(
  store: EventStore,
  fn: () => Promise<unknown>,
): Promise<{ end: (commits: boolean) => Promise<void> }> {
  const undone = new Error('undone');
  let decide!: (commits: boolean) => void;
  const decided = new Promise<boolean>((resolve) => (decide = resolve));
  let session!: Promise<void>;
  await new Promise<void>((resolve, reject) => {
    session = store.withSession(async () => {
      await fn();
      resolve();
      if (!(await decided)) throw undone;
    });
    session.catch(reject);
  });
  return {
    end: async (commits) => {
      decide(commits);
      if (commits) await session;
      else await expect(session).rejects.toBe(undone);
    },
  };
}

/** All items of an iterable. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

/** Whole numbers from 0. */
export function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
