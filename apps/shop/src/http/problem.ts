/** One fault of a request. */
export interface Fault {
  /** Which part of the request. */
  in: 'body' | 'query' | 'path' | 'header';
  /** Where in that part, such as `items[0].quantity`. */
  path: string;
  message: string;
}

/** A problem as RFC 9457 has it. */
export interface Problem {
  /** Tells apart problems that share a status; `about:blank` where the status says it all. */
  type: string;
  title: string;
  status: number;
  /** What is wrong with this very request, and what to do about it. */
  detail?: string;
  /** Every fault found, where the request is not valid. */
  errors?: readonly Fault[];
}

export const PROBLEM_TYPES = {
  validation: 'urn:nestbox:shop:validation',
  preconditionFailed: 'urn:nestbox:shop:precondition-failed',
  unavailable: 'urn:nestbox:shop:unavailable',
  idempotencyKeyMissing: 'urn:nestbox:shop:idempotency-key-missing',
  idempotencyKeyReused: 'urn:nestbox:shop:idempotency-key-reused',
  outOfStock: 'urn:nestbox:shop:out-of-stock',
  unknownProduct: 'urn:nestbox:shop:unknown-product',
  unknownCustomer: 'urn:nestbox:shop:unknown-customer',
  cartConfirmed: 'urn:nestbox:shop:cart-confirmed',
  cartEmpty: 'urn:nestbox:shop:cart-empty',
  cartFull: 'urn:nestbox:shop:cart-full',
  notInCart: 'urn:nestbox:shop:not-in-cart',
  orderNotPaid: 'urn:nestbox:shop:order-not-paid',
  orderShipped: 'urn:nestbox:shop:order-shipped',
  orderNotCancelled: 'urn:nestbox:shop:order-not-cancelled',
} as const;

/** Thrown anywhere below a controller to answer with a problem. */
export class ProblemError extends Error {
  constructor(
    readonly problem: Problem,
    readonly headers: Readonly<Record<string, string>> = {},
    options?: { cause?: unknown },
  ) {
    super(problem.detail ?? problem.title, options);
    this.name = 'ProblemError';
  }
}

export function validationProblem(errors: readonly Fault[]): Problem {
  const [first] = errors;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  return {
    type: PROBLEM_TYPES.validation,
    title: 'The request is not valid.',
    status: 400,
    detail: first === undefined ? undefined : `${first.path}: ${first.message}${more}`,
    errors,
  };
}

export function notFound(what: string, id: string): ProblemError {
  return new ProblemError({
    type: 'about:blank',
    title: 'Not Found',
    status: 404,
    detail: `There is no ${what} ${JSON.stringify(id)}.`,
  });
}

export function preconditionFailed(current: bigint | undefined): ProblemError {
  const found = current === undefined ? 'it does not exist' : `its entity tag is "${current}"`;
  return new ProblemError(
    {
      type: PROBLEM_TYPES.preconditionFailed,
      title: 'The resource is not in the state that the request expects.',
      status: 412,
      detail: `The condition does not hold: ${found}. Read the resource again, decide again, and retry.`,
    },
    current === undefined ? {} : { ETag: `"${current}"` },
  );
}

export function unavailable(detail: string, cause?: unknown): ProblemError {
  return new ProblemError(
    { type: PROBLEM_TYPES.unavailable, title: 'The shop cannot answer right now.', status: 503, detail },
    { 'Retry-After': '1' },
    { cause },
  );
}
