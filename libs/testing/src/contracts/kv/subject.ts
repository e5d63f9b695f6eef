/// <reference types="jest" />
import { KeyValueStore, type KeyValueStoreOptions, type KvAdapter } from '@nestbox/kv';

/** A backend that the contract is put to. */
export interface KvContractSubject {
  /** On an empty store of its own. The suite closes it. */
  adapter: KvAdapter;
  /** Opens another adapter on the same data, as another process would. Absent where nobody else can. */
  another?: () => Promise<KvAdapter>;
  /** Runs a function in a transaction that the adapter's calls join; it is rolled back when the function throws. */
  transaction?: <R>(fn: () => Promise<R>) => Promise<R>;
  /** Makes the backend fail, such as by dropping the table. */
  ruin?: () => Promise<void>;
  /** Called when the adapter has been closed. */
  dispose?: () => Promise<void>;
}

/** What the contract of key-value adapters is tried on, and what of it holds there. */
export interface KvContractOptions {
  create: () => Promise<KvContractSubject>;
  capabilities: {
    /** `query` works; else it throws UnsupportedOperationError. */
    query: boolean;
    /** A commit may have any keys; else those that share a hash tag, and others throw UnsupportedOperationError. */
    atomicAcrossKeys: boolean;
    /** Calls join transactions, which `transaction` of the subject runs. Default: false. */
    transactions?: boolean;
  };
}

/** What a test works on: a store that no other test sees. */
export interface Scene {
  store: KeyValueStore;
  adapter: KvAdapter;
  /** The backend's key of a key in `store`. */
  outer: (key: string) => string;
  /** Another store on the same data and the same adapter. */
  storeWith: (options: Partial<KeyValueStoreOptions>) => KeyValueStore;
  /** A store on the same data whose adapter is another one, as in another process. */
  elsewhere: () => Promise<KeyValueStore>;
}

/** The part of the contract that is about one thing. */
export type KvContractPart = (suite: KvSuite) => void;

let scenes = 0;

/** The subjects of a suite. Most tests share one, each in a namespace of its own. */
export class KvSuite {
  private shared: Promise<KvContractSubject> | undefined;
  private readonly others: KvAdapter[] = [];

  constructor(private readonly options: KvContractOptions) {}

  get capabilities(): KvContractOptions['capabilities'] {
    return this.options.capabilities;
  }

  /** The subject that tests share. */
  subject(): Promise<KvContractSubject> {
    this.shared ??= this.options.create();
    return this.shared;
  }

  /** A subject for one test, to be closed or ruined. */
  async own<R>(fn: (subject: KvContractSubject) => Promise<R>): Promise<R> {
    const subject = await this.options.create();
    try {
      return await fn(subject);
    } finally {
      await subject.adapter.close();
      await subject.dispose?.();
    }
  }

  async scene(options: Partial<KeyValueStoreOptions> = {}): Promise<Scene> {
    const { adapter, another } = await this.subject();
    const namespace = `scene ${++scenes}`;
    const storeWith = (more: Partial<KeyValueStoreOptions>): KeyValueStore =>
      new KeyValueStore({ adapter, namespace, ...more });
    return {
      adapter,
      store: storeWith(options),
      outer: (key) => `${namespace}:${key}`,
      storeWith,
      elsewhere: async () => {
        if (another === undefined) return storeWith(options);
        const other = await another();
        this.others.push(other);
        return new KeyValueStore({ adapter: other, namespace, ...options });
      },
    };
  }

  async close(): Promise<void> {
    const subject = await this.shared;
    await Promise.all([subject?.adapter.close(), ...this.others.map((other) => other.close())]);
    await subject?.dispose?.();
  }
}

/** The error that a promise rejects with. */
export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('It should have failed, but did not.');
}

/** All items of an iterable. */
export async function collect<T>(items: AsyncIterable<T>, limit = Infinity): Promise<T[]> {
  const collected: T[] = [];
  if (limit === 0) return collected;
  for await (const item of items) {
    collected.push(item);
    if (collected.length === limit) break;
  }
  return collected;
}

/** Whole numbers from 0. */
export function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
