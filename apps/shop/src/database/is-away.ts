import { isConnectionLost } from '@nestbox/postgres';
import { QueryFailedError } from 'typeorm';

/** What `pg` says of a connection that is gone or hangs, without a code. */
const GONE =
  /^(?:Connection terminated|Client has encountered a connection error|timeout exceeded when trying to connect|Query read timeout)/;

/** Whether a statement of TypeORM's has failed since the database could not be reached. */
export function isAway(error: unknown): boolean {
  const reason: unknown = error instanceof QueryFailedError ? error.driverError : error;
  return isConnectionLost(reason) || (reason instanceof Error && GONE.test(reason.message));
}
