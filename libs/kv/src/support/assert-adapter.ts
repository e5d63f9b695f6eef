import { InvalidArgumentError } from '@nestbox/core';
import type { KvAdapter } from '../kv.adapter.js';

/**
 * Tells an adapter by its methods, whatever class it is of.
 *
 * @param expected what the argument has to be, for the message
 * @throws InvalidArgumentError when it is none
 */
export function assertAdapter(
  value: unknown,
  path: string,
  expected = 'an adapter, such as new MemoryAdapter()',
): asserts value is KvAdapter {
  const adapter = value as Partial<KvAdapter> | null | undefined;
  if (
    typeof adapter !== 'object' ||
    typeof adapter?.getEntry !== 'function' ||
    typeof adapter.commit !== 'function'
  ) {
    throw new InvalidArgumentError(path, `must be ${expected}.`);
  }
}
