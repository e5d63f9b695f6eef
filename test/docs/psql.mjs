// As much of psql as the pages use: a URL, -c, -f, statements from stdin, and rows as `a | b`.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import postgres from 'postgres';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    command: { type: 'string', short: 'c', multiple: true },
    file: { type: 'string', short: 'f', multiple: true },
    quiet: { type: 'boolean', short: 'q' },
    'tuples-only': { type: 'boolean', short: 't' },
    'no-align': { type: 'boolean', short: 'A' },
    set: { type: 'string', short: 'v', multiple: true },
    'single-transaction': { type: 'boolean', short: '1' },
  },
});
const texts = [...(values.command ?? []), ...(values.file ?? []).map((file) => readFileSync(file, 'utf8'))];
if (texts.length === 0) texts.push(readFileSync(0, 'utf8'));
const sql = postgres(positionals[0] ?? process.env.DATABASE_URL, { max: 1, onnotice: () => {} });
try {
  for (const text of texts) {
    const result = await sql.unsafe(text.replaceAll(/^\\.*$/gm, ''));
    const last = Array.isArray(result[0]) && 'statement' in result[0] ? result.at(-1) : result;
    for (const row of last)
      console.log(
        Object.values(row)
          .map((value) => value ?? '')
          .join(' | '),
      );
  }
} catch (error) {
  console.error(`ERROR:  ${error.message}`);
  process.exitCode = 1;
} finally {
  await sql.end({ timeout: 1 });
}
