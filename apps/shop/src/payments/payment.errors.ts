import { NonRetryableError } from '@nestbox/workflows';

/** The bank says no; it will say so again. */
export class CardDeclinedError extends NonRetryableError {
  constructor(readonly card: string) {
    super(`The card "${card}" was declined.`);
    this.name = 'CardDeclinedError';
  }
}

/** A payment that was called off takes no money any more. */
export class PaymentClosedError extends NonRetryableError {
  constructor(readonly paymentId: string) {
    super(`Payment "${paymentId}" is closed.`);
    this.name = 'PaymentClosedError';
  }
}

/** The provider could not be asked; it may be in a moment. */
export class ProviderUnavailableError extends Error {
  constructor() {
    super('The payment provider is not available.');
    this.name = 'ProviderUnavailableError';
  }
}
