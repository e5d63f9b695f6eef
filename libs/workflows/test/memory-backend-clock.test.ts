import { VirtualClock } from '../src/memory/virtual-clock.js';

describe('a virtual clock', () => {
  it('goes on with time, and leaps', () => {
    const clock = new VirtualClock();
    const before = clock.now();
    expect(Math.abs(before - Date.now())).toBeLessThan(1000);
    clock.skip(1e6);
    expect(clock.now()).toBeGreaterThanOrEqual(before + 1e6);
    expect(clock.now()).toBeLessThan(before + 1e6 + 10_000);
  });

  it('tells its listeners when the time has leapt, until they have enough', () => {
    const clock = new VirtualClock();
    const before = clock.now();
    const seen: boolean[] = [];
    const listener = (): void => void seen.push(clock.now() >= before + 100);
    const [first, second] = [clock.onSkip(listener), clock.onSkip(listener)];
    clock.skip(100);
    expect(seen).toEqual([true, true]);
    first[Symbol.dispose]();
    clock.skip(0);
    expect(seen).toHaveLength(3);
    second[Symbol.dispose]();
    clock.skip(1);
    expect(seen).toHaveLength(3);
  });

  it.each([-1, Number.NaN, Infinity])('does not leap by %p', (ms) => {
    expect(() => new VirtualClock().skip(ms)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', path: 'ms' }),
    );
  });
});
