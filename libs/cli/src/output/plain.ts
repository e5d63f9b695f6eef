/**
 * A value as JSON can hold it: int64 and bigint as strings, times in ISO 8601, a Map as pairs, a Set as an array, bytes
 * in base64, an error as its name, message and code. Undefined is null, or is left out of an object.
 */
export function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value === undefined) return null;
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof Map) return Array.from(value, ([key, item]) => [plain(key), plain(item)]);
  if (value instanceof Set) return Array.from(value, plain);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Error) return errorOf(value);
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) => (item === undefined ? [] : [[key, plain(item)]])),
  );
}

/** JSON on one line. */
export function compactJson(value: unknown): string {
  return JSON.stringify(plain(value));
}

/** JSON on several lines. */
export function prettyJson(value: unknown): string {
  return JSON.stringify(plain(value), null, 2);
}

function errorOf(error: Error): object {
  const { name, message, cause } = error;
  const code: unknown = Reflect.get(error, 'code');
  return {
    name,
    message,
    ...(code !== undefined && { code: plain(code) }),
    ...(cause !== undefined && { cause: plain(cause) }),
  };
}
