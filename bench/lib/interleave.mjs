import { median, quantile } from './statistics.mjs';

/**
 * Runs the sides of a case in turns, so that whatever slows the machine down for a while slows all of them.
 *
 * A side is `{ name, operation(i) }`; `operation` gets a counter that starts at 0 in every slice, so that all
 * sides do the same work. A slice keeps `callers` operations going for `sliceMs`. The first round warms up and
 * is thrown away; the order of the sides rotates from round to round. A side in another process has
 * `slice(callers, ms)` in place of `operation`, which runs {@link runSlice} there.
 *
 * @returns for each side the median of its operations per second, the quartiles, and the median over the rounds
 *   of `ours / side` in the same round
 */
export async function interleave({ sides, callers, rounds, sliceMs }) {
  const samples = new Map(sides.map((side) => [side.name, []]));
  for (let round = 0; round <= rounds; round++) {
    for (let i = 0; i < sides.length; i++) {
      const side = sides[(round + i) % sides.length];
      globalThis.gc?.();
      const ms = round === 0 ? sliceMs / 2 : sliceMs;
      const rate = await (side.slice?.(callers, ms) ?? runSlice(side.operation, callers, ms));
      if (round > 0) samples.get(side.name).push(rate);
    }
  }
  return summarise(samples);
}

/** What {@link interleave} returns, from the rates of each side's rounds. */
export function summarise(samples) {
  const ours = samples.get('nestbox');
  return [...samples].map(([side, rates]) => ({
    side,
    median: median(rates),
    low: quantile(rates, 0.25),
    high: quantile(rates, 0.75),
    ratio: median(ours.map((rate, round) => rate / rates[round])),
  }));
}

/** Keeps so many calls of `operation(i)` going for so long; resolves to how many there were per second. */
export async function runSlice(operation, callers, ms) {
  let done = 0;
  let next = 0;
  const start = performance.now();
  const end = start + ms;
  const caller = async () => {
    while (performance.now() < end) {
      await operation(next++);
      done++;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return (done * 1000) / (performance.now() - start);
}
