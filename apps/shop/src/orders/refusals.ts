import { type Fault, type Problem, PROBLEM_TYPES, ProblemError } from '../http/problem.js';

/** What cannot be had, and why. */
export class RefusedError extends ProblemError {}

/** What somebody wants and cannot have, and where in the body of the request it stands. */
export interface Wanted {
  path: string;
  id: string;
}

export function unknownProducts(wanted: readonly Wanted[]): Problem {
  return refusal(
    PROBLEM_TYPES.unknownProduct,
    'Some of what is ordered is not in the catalogue.',
    422,
    wanted.map(({ path, id }) => toFault(path, `There is no product ${JSON.stringify(id)}.`)),
  );
}

export function unknownCustomer(id: string): Problem {
  const message = `There is no customer ${JSON.stringify(id)}.`;
  return refusal(PROBLEM_TYPES.unknownCustomer, 'The shop does not know the customer.', 422, [
    toFault('customerId', message),
  ]);
}

export function outOfStock(wanted: readonly (Wanted & { stock: number })[]): Problem {
  return refusal(
    PROBLEM_TYPES.outOfStock,
    'There is not enough left.',
    409,
    wanted.map(({ path, id, stock }) => toFault(path, `Only ${stock} of ${JSON.stringify(id)} are left.`)),
  );
}

function toFault(path: string, message: string): Fault {
  return { in: 'body', path, message };
}

function refusal(type: string, title: string, status: number, errors: readonly Fault[]): Problem {
  return { type, title, status, detail: errors.map(({ message }) => message).join(' '), errors };
}
