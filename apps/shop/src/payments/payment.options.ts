/** How the fake payment provider behaves. */
export interface PaymentOptions {
  /** How many of the requests to charge fail, from 0 to 1; half of them after the money has moved. */
  failureRate: number;
  /** How many of them are never answered, from 0 to 1; the money has moved. */
  timeoutRate: number;
  /** After how many requests for one payment nothing goes wrong any more. */
  maxFailures: number;
  /** How long a request takes. */
  latencyMs: number;
  /** Cards that no bank pays for. */
  declinedCards: readonly string[];
}
