import { MemoryBackplane, MemoryNetwork } from '@nestbox/channels';
import { backplaneContract } from '@nestbox/testing/contracts';
import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';

beforeAll(() => {
  jest.spyOn(Logger.prototype, 'error').mockReturnValue();
});

backplaneContract('MemoryBackplane', {
  create: async () => {
    const network = new MemoryNetwork();
    return { open: async () => new MemoryBackplane(network) };
  },
});

describe('MemoryBackplane', () => {
  it('is alone without a network, and counts offsets from 1 without holes', async () => {
    const heard: string[] = [];
    const [a, b] = [new MemoryBackplane(), new MemoryBackplane()];
    await b.open('b', {
      onMessage: ({ payload }) => heard.push(payload.toString()),
      onGap: () => undefined,
      onRecovered: () => undefined,
    });
    b.joinAll();
    const message = { topic: 't', payload: Buffer.from('x'), binary: false, except: [] };
    const keep = { size: 2, ttlMs: 60_000 };
    const offsets = [];
    for (let n = 0; n < 4; n++) offsets.push((await a.publish(message, keep))!.offset);
    expect(offsets).toEqual([1, 2, 3, 4]);
    expect(heard).toEqual([]);
    expect(await b.head('t')).toBeUndefined();
    await Promise.all([a.close(), b.close()]);
  });
});
