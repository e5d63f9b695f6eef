import {
  ChannelService,
  MemoryBackplane,
  MemoryChannelStore,
  MemoryNetwork,
  type ReapedNode,
} from '@nestbox/channels';
import { eventually } from '@nestbox/testing';
import { Logger } from '@nestjs/common';
import { Instances, RecordedTransport } from './support/instances.js';

beforeAll(() => Logger.overrideLogger(false));

/** Of which a row is alive for 60%. */
const LEASE_MS = 500;
const ROW_MS = LEASE_MS * 0.6;

describe('The lease of an instance', () => {
  let store: MemoryChannelStore;
  let service: ChannelService;

  beforeEach(() => {
    store = new MemoryChannelStore();
    const backplane = new MemoryBackplane(new MemoryNetwork());
    service = new ChannelService({ store, backplane, lease: LEASE_MS });
  });

  afterEach(() => service.close());

  async function open() {
    const transport = new RecordedTransport();
    await service.open({ channelName: 'test', transport });
    return transport;
  }

  it('is renewed while the channels of a dead one are removed', async () => {
    let finish: (reaped: ReapedNode[]) => void = () => undefined;
    const removal = new Promise<ReapedNode[]>((resolve) => {
      finish = resolve;
    });
    let reaps = 0;
    let beats = 0;
    store.reap = () => {
      if (reaps++ === 0) beats = 0;
      return removal;
    };
    const heartbeat = store.heartbeat.bind(store);
    store.heartbeat = (...args) => {
      beats++;
      return heartbeat(...args);
    };
    await service.init();
    await eventually(() => reaps === 1 && beats > 5);
    expect(reaps).toBe(1);
    finish([]);
    await eventually(() => reaps > 1);
  });

  it('lets it take nobody for dead when it has waited for an answer as long itself', async () => {
    let slowly = false;
    let answeredAt = Infinity;
    let reaps: number[] = [];
    const reap = store.reap.bind(store);
    store.reap = () => {
      reaps.push(performance.now());
      return reap();
    };
    const heartbeat = store.heartbeat.bind(store);
    store.heartbeat = async (...args) => {
      const known = await heartbeat(...args);
      if (!slowly) return known;
      slowly = false;
      await new Promise((resolve) => setTimeout(resolve, ROW_MS + 20));
      reaps = [];
      answeredAt = performance.now();
      return known;
    };
    await service.init();
    await eventually(() => reaps.length > 0);
    slowly = true;
    await eventually(() => answeredAt < Infinity && reaps.length > 0);
    expect(reaps[0]! - answeredAt).toBeGreaterThan(ROW_MS * 0.9);
  });

  it('closes what it held when it is lost, and what was being added', async () => {
    const held = await open();
    const add = store.addChannel.bind(store);
    store.addChannel = async (channel) => {
      const owner = await add(channel);
      await store.releaseNode(service.nodeId);
      await eventually(() => held.closedWith !== undefined);
      return owner;
    };
    const late = await open();
    expect(held.closedWith).toEqual({ code: 1012, reason: 'lease lost' });
    expect(late.closedWith).toEqual({ code: 1012, reason: 'lease lost' });
    expect(service.localCount).toBe(0);
  });
});

describe('On PostgreSQL', () => {
  const instances = new Instances('postgres');

  beforeAll(() => instances.open());

  afterAll(() => instances.close());

  it('those who come back at once leave the connections to the lease of their instance', async () => {
    const service = await instances.add();
    const query = instances.postgres!.query.bind(instances.postgres);
    let statements = 0;
    instances.postgres!.query = (...args) => {
      statements++;
      return query(...args);
    };
    const comeBack = (i: number) =>
      service.open({ channelId: `c${i}`, channelName: 'test', transport: new RecordedTransport() });
    await Promise.all(Array.from({ length: 2000 }, (_, i) => comeBack(i)));
    expect(service.localCount).toBe(2000);
    // Four batches of each of three kinds, and more where callers came in several turns.
    expect(statements).toBeLessThan(100);
  });
});
