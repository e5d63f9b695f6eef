import { z } from 'zod';
import { wholeNumberText } from '../http/text.js';

/** What comes with `GET /orders`. */
export const ordersQuery = z.strictObject({ limit: wholeNumberText(1, 100).default(12) });

/** What comes with `GET /orders/:id`. */
export const orderQuery = z.strictObject({ version: wholeNumberText(1, 999_999_999).optional() });
