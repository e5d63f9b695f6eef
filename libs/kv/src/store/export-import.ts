import { InvalidArgumentError, assertJson, messageOf, type JsonValue } from '@nestbox/core';
import { ImportLineError, KvOperationError, storedSoFar } from '../kv.errors.js';
import { entries } from './pages.js';
import { splitLines, type Line, type TextPieces } from './split-lines.js';
import type { StoreContext } from './store-context.js';
import type { ImportOptions, ImportResult } from '../kv.types.js';
import { MAX_BATCH_BYTES, writeBatch, type MovedEntry } from './write-batch.js';

const BATCH_SIZE = 500;

/** Every entry as a line of JSON, in key order. */
export async function* exportLines(context: StoreContext): AsyncGenerator<string, void, undefined> {
  for await (const { key, value, version, createdAt, updatedAt, expiresAt } of entries<JsonValue>(
    context,
    {},
  )) {
    const line = { key, value, version: version.toString(), createdAt, updatedAt, expiresAt };
    yield `${JSON.stringify(line)}\n`;
  }
}

/** Stores what `exportLines` gave. */
export async function importLines(
  context: StoreContext,
  pieces: TextPieces,
  { overwrite = true, onProgress }: ImportOptions,
): Promise<ImportResult> {
  const done: ImportResult = { imported: 0, skipped: 0 };
  let batch: MovedEntry[] = [];
  let firstLine = 1;
  let lastLine = 0;
  let bytes = 0;

  const store = async (): Promise<void> => {
    const imported = await writeBatch(context, batch, overwrite).catch((error: unknown) => {
      throw new KvOperationError(
        `import lines ${firstLine} to ${lastLine} (${storedSoFar(done.imported, done.skipped)} Of these lines some may be)`,
        error,
      );
    });
    done.imported += imported;
    done.skipped += batch.length - imported;
    batch = [];
    bytes = 0;
    onProgress?.({ ...done });
  };

  for await (const line of splitLines(pieces)) {
    if (line.text.trim() === '') continue;
    const entry = parseLine(context, line, done);
    if (batch.length === 0) firstLine = line.number;
    lastLine = line.number;
    batch.push(entry);
    bytes += line.text.length;
    if (batch.length === BATCH_SIZE || bytes >= MAX_BATCH_BYTES) await store();
  }
  if (batch.length > 0) await store();
  return done;
}

/** @throws ImportLineError saying the line and the path in it */
function parseLine(
  context: StoreContext,
  { text, number }: Line,
  { imported, skipped }: ImportResult,
): MovedEntry {
  try {
    return toEntry(context, parse(text, `line ${number}`), `line ${number}`);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw new ImportLineError(number, error.path, error.problem, imported, skipped, { cause: error.cause });
  }
}

function parse(text: string, path: string): unknown {
  try {
    // A file that was written on Windows may start with a byte order mark.
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    throw new InvalidArgumentError(path, `is not JSON: ${messageOf(error)}.`, { cause: error });
  }
}

function toEntry(context: StoreContext, line: unknown, path: string): MovedEntry {
  if (typeof line !== 'object' || line === null || Array.isArray(line)) {
    throw new InvalidArgumentError(path, 'is not a JSON object with key and value.');
  }
  const { key, value, expiresAt = null } = line as Record<string, unknown>;
  context.space.outer(key as string, `${path}, key`);
  if (!Object.hasOwn(line, 'value')) throw new InvalidArgumentError(`${path}, value`, 'is missing.');
  assertJson(value, `${path}, value`);
  return { key: key as string, value, expiresAt: toDate(expiresAt, `${path}, expiresAt`) };
}

function toDate(time: unknown, path: string): Date | null {
  if (time === null) return null;
  const date = new Date(typeof time === 'string' ? time : NaN);
  if (Number.isNaN(date.getTime())) {
    throw new InvalidArgumentError(
      path,
      'must be null or an ISO 8601 time such as "2030-01-31T12:00:00.000Z".',
    );
  }
  return date;
}
