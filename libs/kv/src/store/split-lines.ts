import { InvalidArgumentError } from '@nestbox/core';

/** Text in lines or in pieces of any size. */
export type TextPieces = string | Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>;

export interface Line {
  text: string;
  /** The first line is 1. */
  number: number;
}

/**
 * The lines of a text that comes line by line (with or without line breaks), or cut anywhere, as a file's stream gives
 * it. Every line is a JSON object, which is how the two are told apart: no beginning of an object is an object, so
 * where a piece makes one whole and the next piece does not start with a line break, the pieces are lines.
 */
export async function* splitLines(pieces: TextPieces): AsyncGenerator<Line, void, undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let number = 1;
  let rest = '';
  let oneByOne = false;
  for await (const piece of typeof pieces === 'string' ? [pieces] : pieces) {
    const text = typeof piece === 'string' ? piece : decode(decoder, piece, number);
    oneByOne ||= isObject(rest) && !/^\s*(\n|$)/.test(text);
    if (oneByOne && rest !== '') {
      yield { text: rest, number: number++ };
      rest = '';
    }
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const line of lines) yield { text: line, number: number++ };
    if (oneByOne && rest !== '') {
      yield { text: rest, number: number++ };
      rest = '';
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
