import { PROBLEM_TYPES, ProblemError } from '../http/problem.js';
import type { OrderStatus } from '../orders/order-state.js';

export function notPaid(id: string, status: OrderStatus): ProblemError {
  return conflict(
    PROBLEM_TYPES.orderNotPaid,
    'The order is not to be packed.',
    `Order ${JSON.stringify(id)} is ${status}; what is paid can be packed.`,
  );
}

export function alreadyShipped(id: string): ProblemError {
  return conflict(
    PROBLEM_TYPES.orderShipped,
    'The order is with the carrier.',
    `Order ${JSON.stringify(id)} cannot be cancelled any more: its parcels are on their way.`,
  );
}

export function notCancelled(id: string, status: OrderStatus): ProblemError {
  return conflict(
    PROBLEM_TYPES.orderNotCancelled,
    'The order cannot be tried again.',
    status === 'cancelled'
      ? `Order ${JSON.stringify(id)} is still being undone. Try again in a moment.`
      : `Order ${JSON.stringify(id)} is ${status}; only a cancelled one can be tried again.`,
  );
}

function conflict(type: string, title: string, detail: string): ProblemError {
  return new ProblemError({ type, title, status: 409, detail });
}
