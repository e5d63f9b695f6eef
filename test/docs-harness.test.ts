import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { testDatabase, testRedis, type TestDatabase } from '@nestbox/testing';
import { compile } from './docs/compile.js';
import { faultsIn } from './docs/data.js';
import { parsePage, root } from './docs/page.js';
import { planOf, type Plan } from './docs/programs.js';
import { runPage, runnable } from './docs/run-page.js';

/** What docs.test.ts would overlook, it could not show. So it is shown that it finds what is wrong. */

const PAGE = `# A page

\`\`\`ts setup
import { inspect } from 'node:util';
const add = (a: number, b: number) => a + b;
\`\`\`

## Right

\`\`\`ts
const sum = add(1, 2); // → 3
console.log(inspect(sum)); // prints: 3
Promise.reject(new RangeError('no')).catch(() => undefined);
\`\`\`

\`\`\`sql
select 'from SQL' as text;
\`\`\`

\`\`\`text
from SQL
\`\`\`

\`\`\`sh
echo "from $((1 + 1)) commands"
\`\`\`

\`\`\`text
from … commands
\`\`\`

## Wrong

\`\`\`ts
add(1, 1); // → 3
await Promise.reject(new RangeError('no')); // throws TypeError
JSON.parse('{}'); // throws SyntaxError
if (add(1, 1) === 3) add(1, 2); // → 3
\`\`\`

\`\`\`sh
false
\`\`\`

\`\`\`sql
select nothing;
\`\`\`

## Thrown

\`\`\`ts
throw new Error('broken');
\`\`\`

\`\`\`ts file=lonely.ts
export const lonely = 1;
\`\`\`
`;

describe('The test of the pages', () => {
  let folder: string;
  let database: TestDatabase;

  beforeAll(async () => {
    await mkdir(join(root, '.nestbox'), { recursive: true });
    folder = await mkdtemp(join(root, '.nestbox', 'docs-harness-'));
    database = await testDatabase();
  });
  afterAll(async () => {
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  });

  async function found(plan: Plan): Promise<string[]> {
    const redisUrl = (await testRedis()).url;
    return runPage(plan, { folder, databaseUrl: database.url, redisUrl, port: 1 });
  }

  it('finds values, errors, commands, statements and files that are not as the page says, at their lines', async () => {
    const plan = planOf(parsePage('page.md', PAGE));
    expect(await compile(folder, [plan])).toEqual([]);
    const faults = await found(plan);
    const lineOf = (text: string): number => PAGE.split('\n').indexOf(text) + 1;
    const said = (line: number, message: string) => expect.stringContaining(`page.md:${line}: ${message}`);
    expect(faults).toEqual([
      said(lineOf('add(1, 1); // → 3'), 'it should be 3, and is 2'),
      said(
        lineOf(`await Promise.reject(new RangeError('no')); // throws TypeError`),
        'it should throw TypeError',
      ),
      said(
        lineOf(`JSON.parse('{}'); // throws SyntaxError`),
        'it should throw SyntaxError, and threw nothing',
      ),
      said(lineOf('false') - 1, 'the commands failed (1)'),
      said(lineOf('select nothing;') - 1, 'PostgreSQL says: column "nothing" does not exist'),
      said(lineOf('if (add(1, 1) === 3) add(1, 2); // → 3'), 'this line was not run'),
      said(lineOf('## Thrown'), '"Thrown" failed: Error: broken'),
      said(0, 'lonely.ts is imported by nothing'),
    ]);
    expect(faults[6]).toContain(`.ts:${lineOf(`throw new Error('broken');`)}:`);
  }, 60_000);

  it('finds what the compiler refuses, at its line', async () => {
    const page = parsePage(
      'types.md',
      '# A page\n\n```ts\nconst n: number = 1;\nconst text: string = n;\n```\n',
    );
    expect(await compile(folder, [planOf(page)])).toEqual([
      "types.md:5: Type 'number' is not assignable to type 'string'.",
    ]);
  }, 60_000);

  it('finds blocks that nothing tests', () => {
    const page = parsePage(
      'page.md',
      '# A page\n\n```cobol\nADD 1\n```\n\nwords\n\n```text\nx\n```\n\n```json\n{\n```\n',
    );
    expect(faultsIn(page)).toEqual([
      expect.stringContaining("page.md:3: the test does not know blocks of 'cobol'"),
      expect.stringContaining('page.md:9: it shows the output of nothing'),
      expect.stringContaining('page.md:13: '),
    ]);
    expect(() => parsePage('page.md', '# A page\n\n```ts skip\n```\n')).toThrow("there is no flag 'skip'");
    expect(() => parsePage('page.md', '# A page\n\n```ts\n')).toThrow('never closed');
    expect(() => planOf(parsePage('page.md', '# A page\n\n```ts\n// → 3\n```\n'))).toThrow(
      'no statement before',
    );
  });

  it('leaves out the commands of the list, and no others', () => {
    expect(runnable('docker run \\\n  x\necho docker\nnpm install y')).toBe(':\necho docker\nnpm install y');
  });
});
