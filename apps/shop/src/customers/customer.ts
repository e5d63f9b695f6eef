import { z } from 'zod';
import type { CustomerEntity } from '../database/entities/customer.entity.js';
import { filledText } from '../http/text.js';

/** A customer's id, which whoever makes one chooses. */
export const customerId = filledText(100);

const fields = {
  name: filledText(200),
  /** Letters of both cases are the same. */
  email: z
    .email('must be an e-mail address.')
    .max(254, 'must be at most 254 characters long.')
    .transform((email) => email.toLowerCase()),
};

/** The body of a PUT. It may have the id that a GET gives, so that what was read can be sent back changed. */
export const customerBody = z.strictObject(
  { id: customerId.optional(), ...fields },
  { error: (issue) => (issue.code === 'invalid_type' ? 'must be a JSON object.' : undefined) },
);
export type CustomerBody = z.output<typeof customerBody>;

/** A customer without its id. */
export type Customer = Pick<CustomerEntity, 'name' | 'email'>;

/** A customer as clients see it. The order of its properties is fixed, so that one entity tag means one text. */
export function toRepresentation(id: string, { name, email }: Customer) {
  return { id, name, email };
}
