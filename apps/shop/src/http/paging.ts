import type { Response } from 'express';
import { z } from 'zod';
import { text, wholeNumberText } from './text.js';

const MAX_LIMIT = 500;

/** What comes with the request for a list that is read page by page. */
export const pageQuery = z.strictObject({
  cursor: text(10_000)
    .transform((cursor) => (cursor === '' ? undefined : cursor))
    .optional(),
  limit: wholeNumberText(1, MAX_LIMIT).default(50),
});
export type PageQuery = z.output<typeof pageQuery>;

/** Says where the next page is. @param query of the request for it; there is none where a part of it is undefined */
export function linkNext(
  response: Response,
  path: string,
  query: Readonly<Record<string, string | number | undefined>>,
): void {
  const next = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) return;
    next.set(name, String(value));
  }
  response.set('Link', `<${path}?${next.toString()}>; rel="next"`);
}
