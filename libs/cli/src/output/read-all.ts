import { UsageError } from '../usage-error.js';

/** All of a text that is piped in. @throws UsageError when it is not UTF-8 */
export async function readAll(input: AsyncIterable<string | Uint8Array> | undefined): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of input ?? []) pieces.push(Buffer.from(piece as Uint8Array));
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(pieces));
  } catch {
    throw new UsageError('what is piped in is not a text in UTF-8; encode bytes, in base64 for example');
  }
}
