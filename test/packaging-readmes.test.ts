import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Every library's page on npm has the same parts, so that who has read one finds everything in the next. */

const root = join(import.meta.dirname, '..');

function read(...path: string[]): string {
  return readFileSync(join(root, ...path), 'utf8');
}

const libs = readdirSync(join(root, 'libs')).map((lib) => ({
  lib,
  page: read('libs', lib, 'README.md'),
  manifest: JSON.parse(read('libs', lib, 'package.json')) as {
    name: string;
    description: string;
    keywords?: string[];
    bin?: Record<string, string>;
  },
  /** Whether it is a Nest module of its own. */
  isModule: /\bforRoot\b/.test(read('libs', lib, 'README.md')),
}));

/** The headings of a page, without those in blocks of code. */
function headingsOf(page: string): string[] {
  return page
    .replaceAll(/^```[^]*?^```/gm, '')
    .split('\n')
    .filter((line) => line.startsWith('#'));
}

describe.each(libs)('the page of $lib', ({ lib, page, manifest, isModule }) => {
  const headings = headingsOf(page);

  it('begins with what it is, and how it is installed', () => {
    const [title] = headings;
    const [intro] = page.slice(title!.length).trim().split('\n\n');
    expect(title).toBe(`# ${manifest.name}`);
    expect(intro!.length).toBeGreaterThan(80);
    expect(page.slice(0, page.indexOf('\n## '))).toMatch(
      new RegExp(`\`\`\`(sh|bash)\nnpm install (--save-dev )?[^\`]*${manifest.name}`),
    );
  });

  // A command has a part for each of what it does instead.
  if (manifest.bin === undefined) {
    it('has an example, what goes wrong, and for a module its options and guarantees', () => {
      const expected = isModule
        ? ['## Example', '## Options', '## Guarantees', '## Errors']
        : ['## Example', '## Errors'];
      expect(headings.filter((heading) => expected.includes(heading)).toSorted()).toEqual(
        expected.toSorted(),
      );
      expect(headings[1]).toBe('## Example');
    });

    it('shows code right after the heading of the example', () => {
      const behind = page.slice(page.indexOf('\n## Example\n') + '\n## Example\n'.length).trim();
      expect(behind.slice(0, 1200)).toMatch(/```ts\n/);
    });
  } else {
    it('shows how its commands are called, and what they exit with', () => {
      for (const command of Object.keys(manifest.bin!))
        expect(page).toMatch(new RegExp(`npx ${command} \\w+`));
      expect(page).toMatch(/exit code/i);
    });
  }

  it('is found on npm by what it is for', () => {
    expect(manifest.keywords).toEqual(expect.arrayContaining(['nestjs']));
    expect(new Set(manifest.keywords).size).toBe(manifest.keywords!.length);
    expect(manifest.description.length).toBeLessThan(120);
  });

  it('is listed in the README of the project, and has a licence', () => {
    expect(read('README.md').includes(`(libs/${lib})`)).toBe(true);
    expect(existsSync(join(root, 'libs', lib, 'LICENSE'))).toBe(true);
  });
});

it('the headings that are looked for are found in a page, and only there', () => {
  expect(headingsOf('# a\n\n```sh\n# not one\n```\n\n## Example\n')).toEqual(['# a', '## Example']);
});
