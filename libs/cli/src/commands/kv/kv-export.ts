import { resolve } from 'node:path';
import type { KeyValueStore } from '@nestbox/kv';
import type { CommandContext } from '../../command/context.js';
import { YES, command } from '../../command/define.js';
import { CommandFailedError } from '../../command.errors.js';
import { counted } from '../../output/format.js';
import { OutputFile, replacesFile } from '../../output/output-file.js';
import { Progress } from '../../output/progress.js';
import { KV_OPTIONS, type KvOptions } from './kv-options.js';
import { openKv } from './open-kv.js';

/** Lines that go out together. */
const BATCH = 200;

export const kvExport = command<KvOptions & { yes?: boolean }>({
  usage: 'export [file]',
  summary: 'write all entries as JSON lines',
  details:
    'To the standard output, or to a file, which is there as a whole or not at all. Each line is {"key","value","version","createdAt","updatedAt","expiresAt"}. It is read page by page while others write; for one moment of a table, use kv backup.',
  options: [...KV_OPTIONS, { ...YES, description: 'do not ask before a file is replaced' }],
  examples: ['nestbox kv export entries.jsonl', 'nestbox kv export --store redis | gzip > entries.jsonl.gz'],
  async run(context, [file], options) {
    const { store, name } = await openKv(context, options);
    if (file === undefined || file === '-') {
      const exported = await writeAll(context, store, async (text) => {
        context.print(text.trimEnd());
        await context.terminal.flush?.();
      });
      context.note(`Exported ${counted(exported, 'entry', 'entries')} of ${name}.`);
      return;
    }
    const path = resolve(context.cwd, file);
    if (await replacesFile(path)) await context.confirm(`replaces ${file}`, options);
    const output = await OutputFile.create(path, file);
    let exported: number;
    try {
      exported = await writeAll(context, store, (text) => output.write(text));
      await output.finish();
    } catch (error) {
      await output.discard();
      throw error;
    }
    if (context.isJson) context.printJson({ exported, file });
    else context.print(`Exported ${counted(exported, 'entry', 'entries')} of ${name} to ${file}.`);
  },
});

/** @returns how many entries there were */
async function writeAll(
  context: CommandContext,
  store: KeyValueStore,
  write: (text: string) => Promise<void>,
): Promise<number> {
  using progress = new Progress(context.terminal, 'Exporting', 'entries');
  // Counting takes a while, and only a progress bar needs it.
  const total = context.terminal.progress === undefined ? 0 : (await store.stats()).count;
  const interruption = context.terminal.interruption?.();
  let done = 0;
  let batch: string[] = [];
  for await (const line of store.export()) {
    if (interruption?.aborted === true) throw new CommandFailedError('Interrupted.');
    batch.push(line);
    done++;
    if (batch.length === BATCH) {
      await write(batch.join(''));
      batch = [];
      progress.update(done, total);
    }
  }
  if (batch.length > 0) await write(batch.join(''));
  return done;
}
