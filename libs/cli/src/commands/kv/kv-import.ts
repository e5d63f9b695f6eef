import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { InvalidArgumentError, NestboxError, messageOf } from '@nestbox/core';
import { ImportLineError, type ImportResult, type KeyValueStore } from '@nestbox/kv';
import type { CommandContext } from '../../command/context.js';
import { YES, command } from '../../command/define.js';
import { CommandFailedError, NothingFoundError } from '../../command.errors.js';
import { counted } from '../../output/format.js';
import { Progress } from '../../output/progress.js';
import type { Terminal } from '../../terminal.js';
import { UsageError } from '../../usage-error.js';
import { KV_OPTIONS, VERSIONING, type KvOptions } from './kv-options.js';
import { openKv } from './open-kv.js';

interface ImportOptions extends KvOptions {
  readonly skipExisting?: boolean | undefined;
  readonly yes?: boolean | undefined;
}

export const kvImport = command<ImportOptions>({
  usage: 'import [file]',
  summary: 'store entries that kv export has written',
  details:
    'From a file, or from the standard input. Entries with the same keys are replaced, which asks first unless the store is empty. Entries keep what is left of their time; versions start anew. When a line is wrong, or Ctrl-C ends it, what was stored before stays, and the message says how much that is.',
  options: [
    ...KV_OPTIONS,
    VERSIONING,
    { flags: '--skip-existing', description: 'leave keys that are there already as they are' },
    YES,
  ],
  examples: [
    'nestbox kv import entries.jsonl',
    'gunzip -c entries.jsonl.gz | nestbox kv import --yes --store redis',
  ],
  async run(context, [file], options) {
    const source = await open(context, file);
    const { store, name } = await openKv(context, options);
    const overwrite = options.skipExisting !== true;
    if (overwrite && options.yes !== true) {
      const { count } = await store.stats();
      if (count > 0) {
        const has = counted(count, 'entry', 'entries');
        await context.confirm(`replaces entries with the same keys in ${name}, which has ${has}`, options);
      }
    }
    using progress = new Progress(context.terminal, 'Importing', source.unit);
    const result = await importAll(
      store,
      interruptible(source.pieces, context.terminal),
      overwrite,
      (sofar) => progress.update(source.done ?? sofar.imported + sofar.skipped, source.total),
    );
    if (context.isJson) context.printJson(result);
    else {
      const { imported, skipped } = result;
      const also = skipped === 0 ? '' : `, skipped ${skipped}`;
      context.print(`Imported ${counted(imported, 'entry', 'entries')} into ${name}${also}.`);
    }
  },
});

/** Says how much is stored when it ends early, unless the library does. */
async function importAll(
  store: KeyValueStore,
  pieces: AsyncIterable<string | Uint8Array>,
  overwrite: boolean,
  show: (soFar: ImportResult) => void,
): Promise<ImportResult> {
  let soFar: ImportResult = { imported: 0, skipped: 0 };
  const onProgress = (now: ImportResult): void => {
    soFar = now;
    show(now);
  };
  try {
    return await store.import(pieces, { overwrite, onProgress });
  } catch (error) {
    const isInterrupted = error instanceof InterruptedError;
    const isText = error instanceof InvalidArgumentError && !(error instanceof ImportLineError);
    if (!isInterrupted && !isText && !isOfFile(error)) throw error;
    const stored = `${counted(soFar.imported, 'entry was', 'entries were')} imported before.`;
    throw new CommandFailedError(`${messageOf(error).replace(/\.?$/, '.')} ${stored}`, { cause: error });
  }
}

/** The user wants no more of it. */
class InterruptedError extends NestboxError {
  readonly code = 'INTERRUPTED';
}

/** Ends with an error at Ctrl-C, also while it waits for what is piped in. */
async function* interruptible<T>(pieces: AsyncIterable<T>, terminal: Terminal): AsyncGenerator<T> {
  const signal = terminal.interruption?.();
  const interrupted = new Promise<never>((_, reject) => {
    signal?.addEventListener('abort', () => reject(new InterruptedError('Interrupted.')), { once: true });
  });
  interrupted.catch(() => undefined);
  const iterator = pieces[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await Promise.race([interrupted, iterator.next()]);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // Not awaited, since what is piped in may be silent for ever.
    iterator.return?.().catch(() => undefined);
  }
}

/** What reading failed with. */
function isOfFile(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && ['open', 'read'].includes(String(error.syscall));
}

interface Source {
  readonly pieces: AsyncIterable<string | Uint8Array>;
  readonly unit: string;
  /** Bytes, of a file. */
  readonly total?: number;
  readonly done?: number;
}

async function open(context: CommandContext, file: string | undefined): Promise<Source> {
  if (file === undefined || file === '-') {
    const { terminal } = context;
    const { input } = terminal;
    if (input === undefined || terminal.ask !== undefined) {
      throw new UsageError('no file is given, and nothing is piped in');
    }
    return { pieces: input, unit: 'entries' };
  }
  const path = resolve(context.cwd, file);
  const found = await stat(path).catch((error: unknown) => {
    const isAbsent = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (isAbsent) throw new NothingFoundError(`There is no file ${file}.`);
    throw new CommandFailedError(`Cannot read ${file}: ${messageOf(error)}`, { cause: error });
  });
  if (found.isDirectory()) throw new CommandFailedError(`${file} is not a file.`);
  const stream = createReadStream(path);
  // Such as a pipe, whose size nobody knows.
  if (!found.isFile()) return { pieces: stream, unit: 'entries' };
  return {
    pieces: stream,
    unit: 'bytes',
    total: found.size,
    get done() {
      return stream.bytesRead;
    },
  };
}
