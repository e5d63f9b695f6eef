/** With which codes sockets are closed by {@link NestboxWsAdapter}, beside those of RFC 6455. */
export const CloseCode = {
  /** The application shuts down. */
  goingAway: 1001,
  /** Something that is no fault of the client. */
  internalError: 1011,
  /** The channel could not be opened: the backend is down. */
  tryAgainLater: 1013,
  /** A newer connection has the same channel id. */
  replaced: 4000,
  /** More than `maxBufferedBytes` wait for a client that does not read them. */
  slowConsumer: 4008,
} as const;

const MAX_REASON_BYTES = 123;

/** A code that may stand in a close frame: the others say what happened, and are never sent. */
export function closeCodeOf(code: number): number {
  const isDefined = code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code);
  return Number.isInteger(code) && (isDefined || (code >= 3000 && code <= 4999)) ? code : 1000;
}

/** A reason that has a place in a close frame, cut between two characters. */
export function closeReasonOf(reason: string): string {
  const bytes = Buffer.from(reason);
  if (bytes.length <= MAX_REASON_BYTES) return reason;
  let end = MAX_REASON_BYTES;
  // Bytes of the form 10xxxxxx go on with a character.
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}
