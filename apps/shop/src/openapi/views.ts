import { z } from 'zod';
import { productBody, productId } from '../catalogue/product.js';

/** What clients get to see. */

const cents = z.int().describe('In cents.');
const time = z.iso.datetime().describe('ISO 8601, UTC.');
const cursor = z.string().nullable().describe('For the next page; null on the last one.');
const version = z.int().min(1);
const data = z.record(z.string(), z.unknown()).describe('As the type has it.');

export const problemView = z
  .object({
    type: z.string().describe('Tells apart problems that share a status.'),
    title: z.string(),
    status: z.int(),
    detail: z.string().optional().describe('What is wrong with this request, and what to do about it.'),
    errors: z
      .array(
        z.object({ in: z.enum(['body', 'query', 'path', 'header']), path: z.string(), message: z.string() }),
      )
      .optional()
      .describe('Every fault that was found, where the request is not valid.'),
  })
  .describe('A problem as RFC 9457 has it.');

export const productView = z
  .object({ ...productBody.shape, id: productId })
  .meta({ id: 'Product', description: 'A product.' });

export const productsView = z
  .object({ products: z.array(productView), cursor })
  .describe('A page of products.');

export const customerView = z
  .object({ id: z.string(), name: z.string(), email: z.string() })
  .meta({ id: 'Customer', description: 'A customer.' });

export const customersView = z
  .object({ customers: z.array(customerView), cursor })
  .describe('A page of customers.');

const lineView = z
  .object({ productId: z.string(), name: z.string(), quantity: z.int(), unitPrice: cents })
  .meta({ id: 'Line', description: 'So many of a product.' });

export const cartView = z
  .object({
    id: z.string(),
    status: z.enum(['open', 'confirmed']),
    items: z.array(lineView),
    total: cents,
    version: z.int(),
    orderId: z.string().optional(),
    confirmedAt: time.optional(),
  })
  .meta({ id: 'Cart', description: 'A cart.' });

const status = z.enum(['placed', 'reserved', 'paid', 'packed', 'shipping', 'shipped', 'cancelled']);

export const orderView = z
  .object({
    id: z.string(),
    items: z.array(lineView),
    total: cents,
    createdAt: time,
    cartId: z.string().optional(),
    customerId: z.string().optional(),
    status: status.optional().describe('As of the version that was asked for.'),
    version: version.optional().describe('That was asked for.'),
  })
  .meta({ id: 'Order', description: 'An order.' });

const accountEntry = z.object({ ...orderView.omit({ version: true }).shape, status });

export const ordersView = z.object({ orders: z.array(accountEntry) }).describe('The newest orders.');

export const accountView = z
  .object({ id: z.string(), orders: z.array(accountEntry), cursor })
  .describe('What a customer has ordered, the newest first.');

export const historyView = z
  .object({
    id: z.string(),
    version: z.int().describe('Of the whole, whatever part of it was asked for.'),
    events: z.array(
      z.object({
        version,
        position: z.string().describe('In the log of the whole shop.'),
        type: z.string(),
        data,
        at: time,
        messageId: z.string(),
        correlationId: z.string().nullable().describe('The request that began it.'),
        causationId: z.string().nullable().describe('The request, or the event, that has led to it.'),
      }),
    ),
  })
  .meta({ id: 'History', description: 'What has happened, in order.' });

export const stepsView = z
  .object({
    id: z.string(),
    status,
    error: z.string().nullable(),
    steps: z.array(
      z.object({
        name: z.string(),
        kind: z.string(),
        status: z.enum(['running', 'waiting', 'done', 'error']),
        attempts: z.int(),
        durationMs: z.number().nullable(),
        error: z.string().nullable(),
      }),
    ),
  })
  .describe('How far an order has come, and the steps of its checkout.');

export const paymentsView = z
  .object({
    id: z.string(),
    payments: z.array(
      z.object({
        id: z.string(),
        card: z.string(),
        amount: cents,
        closed: z.boolean(),
        requests: z.int(),
        log: z.array(
          z.object({ kind: z.enum(['charge', 'refund']), amount: cents, key: z.string(), at: time }),
        ),
      }),
    ),
  })
  .describe("What is in the payment provider's books.");

export const turnView = z.object({ id: z.string(), status }).describe('How far the order has come.');
export const retriedView = z.object({ id: z.string() }).describe('It is tried again.');

export const salesView = z
  .object({
    products: z.array(
      z.object({
        productId: z.string(),
        name: z.string(),
        quantity: z.int(),
        revenue: cents,
        orders: z.int(),
        position: z.string(),
      }),
    ),
    cursor,
  })
  .describe('What was sold, by product.');

export const settingsView = z.record(z.string(), z.unknown()).describe('All settings.');
export const settingView = z.object({ name: z.string(), value: z.unknown() }).describe('A setting.');

export const publishedView = z
  .object({
    topic: z.string(),
    offset: z.int().optional(),
    epoch: z.string().optional(),
    local: z.int().describe('How many connections of this instance got it.'),
  })
  .describe('It was said.');

const indicator = z.looseObject({ status: z.enum(['up', 'down', 'degraded']) });

export const healthView = z
  .object({
    status: z.enum(['ok', 'error', 'shutting_down', 'degraded']),
    info: z.record(z.string(), indicator).optional(),
    error: z.record(z.string(), indicator).optional(),
    details: z.record(z.string(), indicator),
  })
  .meta({ id: 'Health', description: 'The state of what the shop is made of, with figures.' });

export const phaseView = z
  .object({ status: z.enum(['starting', 'ready', 'stopping']) })
  .describe('Where the process is in its life.');

export const aliveView = z.object({ status: z.literal('alive') }).describe('The process answers.');
