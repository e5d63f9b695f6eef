import { isTransactionConflict } from '@nestbox/postgres';

const TRIES = 5;

/** What met others in a deadlock had no effect, and is sent again. Not for what is a part of a transaction. */
export async function again<T>(send: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await send();
    } catch (error) {
      if (attempt === TRIES || !isTransactionConflict(error)) throw error;
    }
  }
}
