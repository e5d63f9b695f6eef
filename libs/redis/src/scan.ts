import type { SingleClient } from './driver.js';

/** Which keys are scanned for, and how. */
export interface ScanOptions {
  /** A glob pattern; use `escapeGlob` for text in it that is not yours. Default: every key. */
  match?: string;
  /** How many keys Redis looks at in one go, about. Default: 1,000. */
  count?: number;
  /** Only keys of that type, such as `hash`. */
  type?: string;
}

/** All keys of one server that match. */
export async function* scanNode(
  client: SingleClient,
  { match = '*', count = 1000, type }: ScanOptions,
): AsyncGenerator<string, void, undefined> {
  let cursor = '0';
  do {
    const [next, keys] =
      type === undefined
        ? await client.scan(cursor, 'MATCH', match, 'COUNT', count)
        : await client.scan(cursor, 'MATCH', match, 'COUNT', count, 'TYPE', type);
    cursor = next;
    yield* keys;
  } while (cursor !== '0');
}
