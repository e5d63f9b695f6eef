/** More than callers can be apart, so that no two calls meet in a stream or a key. */
export const KEYS = 5_000;

export function streamOf(i) {
  return `basket-${i % KEYS}`;
}

export function keyOf(i) {
  return `answer:${i % KEYS}`;
}

/** What a service keeps to answer a request again that is sent twice. */
export function answerOf(i) {
  return { status: 201, location: `/orders/${i % KEYS}`, etag: `"${i % 17}"` };
}
