/**
 * What Keyv stores: the value and when it expires. Keyv gives it as a text of JSON, or, where its serialization is
 * turned off, as an object.
 */
interface Envelope {
  value?: unknown;
  /** In ms since the epoch. */
  expires?: number;
}

/** How an envelope is stored: never as JSON within JSON. `raw` tells one that was given as an object. */
interface StoredEnvelope extends Envelope {
  raw?: true;
}

/**
 * The value to store for what Keyv gives. A text that is no envelope, such as one that was compressed or encrypted,
 * is stored as it is.
 */
export function fromKeyv(given: unknown): unknown {
  if (typeof given === 'string') return parseEnvelope(given) ?? given;
  if (!isEnvelope(given)) return given;
  const { value, expires } = given;
  const stored: StoredEnvelope = { raw: true };
  // JSON has no undefined; Keyv means the same by a member that is not there.
  if (value !== undefined) stored.value = value;
  if (expires !== undefined) stored.expires = expires;
  return stored;
}

/** What Keyv gets for a stored value, in the form in which it gave it. */
export function toKeyv(stored: unknown): unknown {
  if (typeof stored !== 'object' || stored === null) return typeof stored === 'string' ? stored : undefined;
  const { raw, ...envelope } = stored as StoredEnvelope;
  return raw === true ? envelope : JSON.stringify(stored);
}

function parseEnvelope(text: string): Envelope | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    const parsed: unknown = JSON.parse(text);
    return isEnvelope(parsed) ? parsed : undefined;
  } catch {
    // Some other text that begins like JSON.
    return undefined;
  }
}

function isEnvelope(value: unknown): value is Envelope {
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.keys(value).every((member) => member === 'value' || member === 'expires')
  );
}
