import { PROBLEM_TYPES, ProblemError } from '../http/problem.js';

export function cartConfirmed(): ProblemError {
  return conflict(
    PROBLEM_TYPES.cartConfirmed,
    'The cart is confirmed.',
    'A confirmed cart does not change any more. Open a new one.',
  );
}

export function cartEmpty(): ProblemError {
  return conflict(
    PROBLEM_TYPES.cartEmpty,
    'The cart is empty.',
    'There is nothing to confirm. Add an item first.',
  );
}

export function cartFull(detail: string): ProblemError {
  return conflict(PROBLEM_TYPES.cartFull, 'The cart is full.', detail);
}

/** @param quantity how many there are; undefined for none */
export function notInCart(productId: string, quantity: number | undefined): ProblemError {
  const product = JSON.stringify(productId);
  if (quantity === undefined) {
    const detail = `There is no ${product} in the cart.`;
    return new ProblemError({
      type: PROBLEM_TYPES.notInCart,
      title: 'Not in the cart.',
      status: 404,
      detail,
    });
  }
  return conflict(
    PROBLEM_TYPES.notInCart,
    'Not so many are in the cart.',
    `Only ${quantity} of ${product} are in the cart.`,
  );
}

function conflict(type: string, title: string, detail: string): ProblemError {
  return new ProblemError({ type, title, status: 409, detail });
}
