import { NonRetryableError } from '@nestbox/workflows';

/** There is not enough of something any more; asking again does not help. */
export class SoldOutError extends NonRetryableError {
  constructor(
    readonly orderId: string,
    readonly productIds: readonly string[],
  ) {
    super(`Sold out: ${productIds.map((id) => JSON.stringify(id)).join(', ')}.`);
    this.name = 'SoldOutError';
  }
}
