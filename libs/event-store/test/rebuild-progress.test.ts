import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { RebuildProgress } from '../src/consumers/consumer.types.js';
import { RebuildMeter } from '../src/consumers/rebuild-meter.js';

afterEach(() => jest.restoreAllMocks());

it('a long rebuild writes a line with its rate and the time that is left, every five seconds', async () => {
  const log = jest.spyOn(Logger.prototype, 'log').mockReturnValue();
  let now = 1_000;
  jest.spyOn(performance, 'now').mockImplementation(() => now);
  const told: RebuildProgress[] = [];
  const meter = new RebuildMeter('sums', (progress) => told.push(progress));
  for (let position = 100n; position <= 500n; position += 100n) {
    now += 2_000;
    meter.add(100);
    await meter.tell(position, async () => 1_000n);
  }
  expect(log.mock.calls.map(([line]) => String(line))).toEqual([
    'Rebuilding projection "sums": 300 events (30 %), 50/s, 14.0 s left.',
  ]);
  expect(told).toHaveLength(5);
  expect(told.at(-1)).toMatchObject({
    phase: 'building',
    events: 500,
    position: 500n,
    head: 1_000n,
    eventsPerSecond: 50,
    remainingMs: 10_000,
  });
});
