import {
  MemoryEventStoreBackend,
  createEventStore,
  type Consumer,
  type Event,
  type EventStore,
  type EventStoreSettings,
  type Processor,
  type ReactorOptions,
  type ReadEvent,
} from '@nestbox/event-store';
import type { PostgresSource } from '@nestbox/postgres';
import { eventually, testDatabase } from '@nestbox/testing';

export type Noted = Event<'Noted', { n: number }>;
export type Ignored = Event<'Ignored', { n: number }>;

export const noted = (n: number): Noted => ({ type: 'Noted', data: { n } });
export const ignored = (n: number): Ignored => ({ type: 'Ignored', data: { n } });
export const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);
export const notedUpTo = (count: number): Noted[] => numbers(count).map(noted);
export const numberOf = ({ data }: { data: unknown }): number => (data as Noted['data']).n;

/** So fast that tests need not wait. */
export const quick = { attempts: 3, base: 1, max: 2 };

/** Data for the tests of a file, and stores on it, each as in a process of its own. */
export class Stage {
  private readonly stores: EventStore[] = [];
  private names = 0;

  private constructor(
    /** To connect to, where it is a database. */
    readonly url: string | undefined,
    private readonly source: PostgresSource | MemoryEventStoreBackend,
    private readonly dispose: () => Promise<void>,
  ) {}

  static async onPostgres(): Promise<Stage> {
    const database = await testDatabase();
    return new Stage(database.url, database.url, () => database.drop());
  }

  static async onMemory(): Promise<Stage> {
    return new Stage(undefined, new MemoryEventStoreBackend(), async () => undefined);
  }

  async store(settings: EventStoreSettings = {}): Promise<EventStore> {
    const store = createEventStore(this.source, settings);
    this.stores.push(store);
    await store.init();
    return store;
  }

  /** A name that no other test has. */
  name(prefix: string): string {
    return `${prefix}_${++this.names}`;
  }

  /** A partition for one test. */
  async partition(): Promise<string> {
    const partition = this.name('tenant');
    const [store] = this.stores.length === 0 ? [await this.store()] : this.stores;
    await store!.partitions.create(partition);
    return partition;
  }

  /** Closes the stores; what they have stays. */
  async closeStores(): Promise<void> {
    await Promise.all(this.stores.splice(0).map((store) => store.close()));
  }

  async close(): Promise<void> {
    await this.closeStores();
    await this.dispose();
  }
}

export const STAGES: readonly [string, () => Promise<Stage>][] = [
  ['PostgreSQL', () => Stage.onPostgres()],
  ['memory', () => Stage.onMemory()],
];

/** Does something while consumers run. */
export async function whileRunning<R>(
  consumers: Consumer | readonly Consumer[],
  fn: () => Promise<R>,
): Promise<R> {
  const all = 'start' in consumers ? [consumers] : consumers;
  await Promise.all(all.map((consumer) => consumer.start()));
  try {
    return await fn();
  } finally {
    await Promise.all(all.map((consumer) => consumer.stop()));
  }
}

/** A consumer with a reactor that keeps what it sees. */
export function reactorOn<E extends Event = Noted>(
  store: EventStore,
  partition: string,
  options: Partial<ReactorOptions<E>> & { processorId: string },
): { consumer: Consumer; processor: Processor; seen: ReadEvent<E>[] } {
  const seen: ReadEvent<E>[] = [];
  const consumer = store.consumer({ partition });
  const eachMessage = (event: ReadEvent<E>): void => void seen.push(event);
  const handler = 'eachBatch' in options ? {} : { eachMessage };
  const processor = consumer.reactor<E>({ ...handler, retry: quick, ...options });
  return { consumer, processor, seen };
}

/** Handles what there is, and stops. */
export async function catchUp(consumer: Consumer): Promise<void> {
  await whileRunning(consumer, () => consumer.whenCaughtUp());
}

/** Something that handlers wait for until the test opens it. */
export class Gate {
  /** How many have come to it. */
  arrived = 0;
  private resolve!: () => void;
  private readonly opened = new Promise<void>((resolve) => (this.resolve = resolve));

  open(): void {
    this.resolve();
  }

  pass(): Promise<void> {
    this.arrived++;
    return this.opened;
  }

  someoneWaits(count = 1): Promise<unknown> {
    return eventually(() => this.arrived >= count);
  }
}
