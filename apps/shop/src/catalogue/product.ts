import { assertName, InvalidArgumentError } from '@nestbox/core';
import { z } from 'zod';
import { filledText, text, wholeNumber } from '../http/text.js';
import { stockTopic } from '../live/topics.js';

const fields = {
  name: filledText(200),
  description: text(2000).optional(),
  category: filledText(100).optional(),
  tags: z.array(filledText(50)).max(20, 'must be at most 20 tags.').optional(),
  /** In cents. */
  price: wholeNumber(0, 100_000_000),
  /** How many can be ordered. */
  stock: wholeNumber(0, 1_000_000_000).default(0),
};

/** A product without its id. */
export const productSchema = z.strictObject(fields, { error: strictError });
export type Product = z.output<typeof productSchema>;

/** A product's id: any text of which the topic of its stock can be named. */
export const productId = z.string('must be a text.').superRefine((id, context) => {
  try {
    assertName(id, 'id');
    assertName(stockTopic(id), 'id');
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    context.addIssue({ code: 'custom', message: error.problem });
  }
});

/** The body of a PUT. It may have the id that a GET gives, so that what was read can be sent back changed. */
export const productBody = z.strictObject({ id: productId.optional(), ...fields }, { error: strictError });
export type ProductBody = z.output<typeof productBody>;

/** A line of a catalogue file. */
export const productLine = z.strictObject({ id: productId, ...fields }, { error: strictError });

/** A product as clients see it. The order of its properties is fixed, so that one entity tag means one text. */
export function toRepresentation(id: string, { name, description, category, tags, price, stock }: Product) {
  return { id, name, description, category, tags, price, stock };
}

function strictError(issue: { code?: string | undefined }): string | undefined {
  return issue.code === 'invalid_type' ? 'must be a JSON object.' : undefined;
}
