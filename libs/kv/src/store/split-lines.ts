import { InvalidArgumentError } from '@nestbox/core';

/** Text in lines or in pieces of any size. */
export type TextPieces = string | Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>;

export interface Line {
  text: string;
  /** The first line is 1. */
  number: number;
}

/**
 * The lines of a text that comes in pieces: one line each (with or without its line break), or cut anywhere, as a
 * file's stream gives them. Every line is a JSON object, which is how the end of a line is told where a piece does
 * not end with a line break: no beginning of an object is an object.
 */
export async function* splitLines(pieces: TextPieces): AsyncGenerator<Line, void, undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let number = 1;
  let rest = '';
  let breakPending = false;
  for await (const piece of typeof pieces === 'string' ? [pieces] : pieces) {
    let text = typeof piece === 'string' ? piece : decode(decoder, piece, number);
    if (text === '') continue;
    // The line break of a line that was given out without waiting for it.
    if (breakPending) text = text.replace(/^\r?\n/, '');
    breakPending = false;

    const lines = text.split('\n');
    if (rest !== '' && isObject(lines[0]!) && !isObject(rest + lines[0]!)) {
      // What came before was a line of its own, though not a sound one.
      yield { text: rest, number: number++ };
      rest = '';
    }
    lines[0] = rest + lines[0]!;
    rest = lines.pop()!;
    for (const line of lines) yield { text: line, number: number++ };
    if (isObject(rest)) {
      yield { text: rest, number: number++ };
      rest = '';
      breakPending = true;
    }
  }
  rest += decode(decoder, undefined, number);
  if (rest !== '') yield { text: rest, number };
}

function isObject(text: string): boolean {
  const trimmed = text.trim();
  // Spares the parsing of what cannot be one.
  if (!trimmed.startsWith('{') || !trimmed.endsWith('}')) return false;
  try {
    JSON.parse(trimmed);
    return true;
  } catch {
    // Not JSON: it is a part of a line, or a bad one.
    return false;
  }
}

function decode(
  decoder: InstanceType<typeof TextDecoder>,
  bytes: Uint8Array | undefined,
  number: number,
): string {
  try {
    return decoder.decode(bytes, { stream: bytes !== undefined });
  } catch (error) {
    throw new InvalidArgumentError(`line ${number}`, 'or one after it is not valid UTF-8.', { cause: error });
  }
}
