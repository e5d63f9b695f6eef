import { z } from 'zod';

/** What stands for a card: the shop never sees its number. */
export const cardToken = z
  .string('must be the token of a card.')
  .regex(/^[\w-]{1,64}$/, 'must be the token of a card: letters, digits, "_" and "-".');

/** Of an order that names none. */
export const DEFAULT_CARD = 'card_visa';

/** The card that no bank pays for, unless configured otherwise. */
export const DECLINED_CARD = 'card_declined';
