import { Buffer } from 'node:buffer';

/** Those with a class of their own; all others are made with `Error`. */
const ERRORS: Readonly<Record<string, ErrorConstructor>> = {
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};
const HIDDEN = { configurable: true, enumerable: false, writable: true };
const OWN = { configurable: true, enumerable: true, writable: true };

type Decode = (json: unknown) => unknown;

/** What an object with a `$type` stands for; undefined when it is none of ours. */
export function decodeTagged(tagged: object, decode: Decode): { value: unknown } | undefined {
  try {
    return decodeType(tagged as Record<string, unknown>, decode);
  } catch (error) {
    // Of the stack, which is too small here.
    if (error instanceof RangeError) throw error;
    // Somebody else's, with a name of ours.
    return undefined;
  }
}

function decodeType(tagged: Record<string, unknown>, decode: Decode): { value: unknown } | undefined {
  const { $type: type, value } = tagged;
  switch (type) {
    case 'undefined':
      return { value: undefined };
    case 'string':
      return { value: JSON.parse(`"${text(value)}"`) as unknown };
    case 'number':
      return { value: Number(text(value)) };
    case 'bigint':
      return { value: BigInt(text(value)) };
    case 'Date':
      return { value: new Date(value === null ? Number.NaN : text(value)) };
    case 'Map':
      return { value: new Map(array(value).map((entry) => pair(decode(entry)))) };
    case 'Set':
      return { value: new Set(array(value).map(decode)) };
    case 'Object':
      return { value: decodeEntries(array(value), decode) };
    case 'RegExp':
      return { value: new RegExp(text(decode(value)), text(tagged['flags'])) };
    case 'URL':
      return { value: new URL(text(value)) };
    case 'Buffer':
      return { value: Buffer.from(text(value), 'base64') };
    case 'Uint8Array':
      return { value: Uint8Array.from(Buffer.from(text(value), 'base64')) };
    case 'Error':
      return { value: decodeError(tagged, decode) };
    default:
      return undefined;
  }
}

function decodeEntries(entries: readonly unknown[], decode: Decode): object {
  const object = {};
  for (const entry of entries) {
    const [key, value] = pair(entry);
    define(object, text(decode(key)), decode(value));
  }
  return object;
}

function decodeError(tagged: Record<string, unknown>, decode: Decode): Error {
  const { properties, $type: _, ...fields } = tagged;
  const { name, message, stack, ...others } = Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key, decode(value)]),
  );
  const error = withoutTrace(() => createError(text(name), text(message), others['errors']));
  const shown = typeof stack === 'string' ? stack : `${text(name)}: ${text(message)}`;
  Object.defineProperty(error, 'stack', { ...HIDDEN, value: shown });
  if (error.name !== name) Object.defineProperty(error, 'name', { ...HIDDEN, value: name });
  if ('cause' in others) Object.defineProperty(error, 'cause', { ...HIDDEN, value: others['cause'] });
  if ('code' in others) define(error, 'code', others['code']);
  const own = decode(properties) ?? {};
  for (const [key, value] of Object.entries(own)) define(error, key, value);
  return error;
}

/** The trace of this place would be thrown away, and with source maps it takes milliseconds to write one. */
function withoutTrace(create: () => Error): Error {
  const { stackTraceLimit } = Error;
  try {
    Error.stackTraceLimit = 0;
    return create();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function createError(name: string, message: string, errors: unknown): Error {
  if (name === 'AggregateError' && Array.isArray(errors)) return new AggregateError(errors, message);
  const error = new (Object.hasOwn(ERRORS, name) ? ERRORS[name]! : Error)(message);
  if (errors !== undefined) Object.defineProperty(error, 'errors', { ...HIDDEN, value: errors });
  return error;
}

/** An assignment to "__proto__" would set the prototype. */
function define(object: object, key: string, value: unknown): void {
  Object.defineProperty(object, key, { ...OWN, value });
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('This is no text.');
  return value;
}

function array(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new TypeError('This is no array.');
  return value;
}

function pair(value: unknown): [unknown, unknown] {
  const [first, second] = array(value);
  return [first, second];
}
