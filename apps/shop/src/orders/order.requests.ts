import { z } from 'zod';
import { wholeNumberText } from '../http/text.js';

/** What comes with `GET /orders`. */
export const ordersQuery = z.strictObject({ limit: wholeNumberText(1, 100).default(12) });

/** What comes with `GET /orders/:id/history`. */
export const orderHistoryQuery = z.strictObject({
  after: wholeNumberText(0, 999_999_999).default(0),
  limit: wholeNumberText(1, 500).default(100),
});
