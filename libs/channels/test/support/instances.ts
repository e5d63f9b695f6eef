import {
  ChannelService,
  MemoryBackplane,
  MemoryChannelStore,
  MemoryNetwork,
  PgBackplane,
  PgChannelStore,
  RedisBackplane,
  RedisChannelStore,
  type ChannelServiceOptions,
  type ChannelTransport,
  type Frame,
} from '@nestbox/channels';
import { Postgres } from '@nestbox/postgres';
import { testDatabase, testRedis, type TestDatabase } from '@nestbox/testing';

export type Backend = 'memory' | 'postgres' | 'redis';

/** A connection that keeps what it is given. */
export class RecordedTransport implements ChannelTransport {
  readonly frames: Frame[] = [];
  closedWith: { code: number; reason: string } | undefined;
  /** What sending does instead. */
  onSend: (() => boolean | void) | undefined;

  send(frame: Frame): boolean | void {
    this.frames.push(frame);
    return this.onSend?.();
  }

  close(code: number, reason: string): void {
    this.closedWith ??= { code, reason };
  }

  get texts(): unknown[] {
    return this.frames.map(({ data, binary }) => (binary ? data : JSON.parse(data.toString())));
  }
}

/** Instances of one application on one backend, as separate objects in this process. */
export class Instances {
  private readonly services: ChannelService[] = [];
  private readonly network = new MemoryNetwork();
  private readonly memory = new MemoryChannelStore();
  database: TestDatabase | undefined;
  postgres: Postgres | undefined;
  private redis: { url: string; prefix: string } | undefined;

  constructor(readonly backend: Backend) {}

  async open(): Promise<void> {
    if (this.backend === 'postgres') {
      this.database = await testDatabase();
      this.postgres = new Postgres(this.database.url);
    }
    if (this.backend === 'redis') this.redis = await testRedis();
  }

  /** What a process of its own needs to be one of them. */
  get address(): string[] {
    return this.backend === 'postgres'
      ? ['postgres', this.database!.url]
      : ['redis', this.redis!.url, `${this.redis!.prefix}channels`];
  }

  async add(options: Partial<ChannelServiceOptions> = {}): Promise<ChannelService> {
    const service = new ChannelService({ ...this.parts(), ...options });
    this.services.push(service);
    await service.init();
    return service;
  }

  async close(): Promise<void> {
    await Promise.all(this.services.splice(0).map((service) => service.close()));
    await this.postgres?.close();
    await this.database?.drop();
  }

  private parts(): ChannelServiceOptions {
    if (this.backend === 'postgres') {
      const { postgres } = this;
      return {
        store: new PgChannelStore(postgres!),
        backplane: new PgBackplane(postgres!, { name: 'channels' }),
        transactions: postgres,
      };
    }
    if (this.backend === 'redis') {
      const { url, prefix } = this.redis!;
      return {
        store: new RedisChannelStore(url, `${prefix}channels`),
        backplane: new RedisBackplane(url, { prefix: `${prefix}channels`, name: 'channels' }),
      };
    }
    return { store: this.memory, backplane: new MemoryBackplane(this.network), closeStore: false };
  }
}
