import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '..', '..', '..');
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');

/** What the examples take for granted. */
const AT_HAND = `
import { NestFactory } from '@nestjs/core';
import { NestboxWsAdapter, type EventHubService } from '@nestbox/event-hub';
declare const hub: EventHubService;
declare const channelId: string;
declare const senderId: string;
declare class AppModule {}
declare function sessionOf(token: string): Promise<{ userId: string } | undefined>;
declare function report(topic: string, data: unknown): Promise<void>;
`;

describe('the examples in the READMEs', () => {
  let folder: string;
  beforeAll(async () => {
    // Inside the project, so that it finds its packages.
    await mkdir(join(root, '.nestbox'), { recursive: true });
    folder = await mkdtemp(join(root, '.nestbox', 'event-hub-docs-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('are compiled without a complaint', async () => {
    for (const file of ['libs/channels/README.md', 'libs/event-hub/README.md']) {
      const text = await readFile(join(root, file), 'utf8');
      const blocks = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!);
      expect(blocks.length).toBeGreaterThan(1);
      for (const [i, code] of blocks.entries()) {
        await writeFile(
          join(folder, `${file.replaceAll(/\W/g, '-')}-${i}.ts`),
          code.startsWith('import') ? code : `${AT_HAND}\nexport async function example() {\n${code}\n}\n`,
        );
      }
    }
    await writeFile(
      join(folder, 'tsconfig.json'),
      JSON.stringify({
        extends: join(root, 'tsconfig.json'),
        compilerOptions: {
          noUnusedLocals: false,
          noUnusedParameters: false,
          types: ['node'],
          paths: { '@nestbox/*': [join(root, 'libs/*/src/index.ts')] },
        },
        include: ['*.ts'],
        exclude: [],
      }),
    );
    const { stdout } = await promisify(execFile)(process.execPath, [tsc, '-p', folder]).catch(
      (error: { stdout: string }) => error,
    );
    expect(stdout).toBe('');
  }, 60_000);
});
