import { eventually, freePort } from '@nestbox/testing';
import { createServer } from 'node:net';

describe('eventually', () => {
  it('tries until the check holds, and gives what it returned', async () => {
    let tries = 0;
    const check = async (): Promise<string | false> => {
      tries++;
      if (tries === 1) throw new Error('not yet');
      return tries < 3 ? false : 'there';
    };
    expect(await eventually(check)).toBe('there');
    expect(tries).toBe(3);
  });

  it('takes a check without a result', async () => {
    expect(await eventually(() => {})).toBeUndefined();
  });

  it('throws the last error of the check when the time is up', async () => {
    const broken = (): never => {
      throw new RangeError('broken');
    };
    await expect(eventually(broken, { timeoutMs: 30 })).rejects.toThrow(new RangeError('broken'));
    await expect(eventually(() => false, { timeoutMs: 30 })).rejects.toThrow('Still false after 30 ms.');
  });
});

describe('freePort', () => {
  it('gives different ports that can be listened on', async () => {
    const ports = await Promise.all(Array.from({ length: 20 }, () => freePort([10_000])));
    expect(new Set(ports).size).toBe(20);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(ports[0], '127.0.0.1', resolve));
    server.close();
  });
});
