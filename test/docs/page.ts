import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '../..');

/** A fenced block of a page, or the hidden setup in a comment. */
export interface Block {
  /** The first word behind the fence. */
  language: string;
  /** The words behind it: `setup`, `continue`, `test`, `run`, `figure`, and `file=…` without its value. */
  flags: ReadonlySet<string>;
  /** The value of `file=…`. */
  file: string | undefined;
  /** The line of its fence, from 1. Its first line of text is the next one. */
  line: number;
  text: string;
  /** Why it is compiled, but not run: the comment `<!-- not run: … -->` right before it. */
  notRun: string | undefined;
  /** Whether nothing but blank lines is between it and the block before. */
  follows: boolean;
}

/** The blocks from one heading to the next one. */
export interface Section {
  heading: string;
  line: number;
  blocks: Block[];
}

export interface Page {
  /** Relative to the repository, such as `docs/kv.md`. */
  path: string;
  /** A name for folders. */
  slug: string;
  lines: readonly string[];
  sections: Section[];
}

const FENCE = /^(?<ticks>`{3,})(?<info>.*)$/;
const HIDDEN = /^<!--(?<info>(?:ts|js) setup.*)$/;
const HEADING = /^#{1,6} (?<text>.+)$/;
const NOT_RUN = /^<!-- not run: (?<why>.+\S) -->$/;
const FLAGS = new Set(['setup', 'continue', 'test', 'run', 'figure']);

export async function readPage(path: string): Promise<Page> {
  return parsePage(path, await readFile(join(root, path), 'utf8'));
}

/** @throws Error that names the line where a fence is never closed, or its words are none that the test knows */
export function parsePage(path: string, text: string): Page {
  const lines = text.split('\n');
  const sections: Section[] = [{ heading: '', line: 1, blocks: [] }];
  let between: string[] = [];
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!;
    const heading = HEADING.exec(line)?.groups?.['text'];
    if (heading !== undefined) sections.push({ heading, line: at + 1, blocks: [] });
    const fence = FENCE.exec(line)?.groups ?? HIDDEN.exec(line)?.groups;
    if (!fence) {
      between.push(line);
      continue;
    }
    const close = fence['ticks'] ?? '-->';
    const end = lines.indexOf(close, at + 1);
    if (end < 0) throw new Error(`${path}:${at + 1}: this block is never closed.`);
    const said = between.filter((one) => one.trim() !== '');
    sections.at(-1)!.blocks.push({
      ...wordsOf(fence['info']!, `${path}:${at + 1}`),
      line: at + 1,
      text: lines.slice(at + 1, end).join('\n'),
      notRun: NOT_RUN.exec(said.at(-1) ?? '')?.groups?.['why'],
      follows: said.length === 0,
    });
    between = [];
    at = end;
  }
  const slug = path.replace(/\.md$/, '').replaceAll(/\W+/g, '-').toLowerCase();
  return { path, slug, lines, sections: joined(sections, path) };
}

function wordsOf(info: string, where: string): Pick<Block, 'language' | 'flags' | 'file'> {
  const [language = '', ...words] = info.trim().split(/\s+/);
  const file = words.find((word) => word.startsWith('file='))?.slice('file='.length);
  const flags = words.filter((word) => !word.startsWith('file='));
  const unknown = flags.find((flag) => !FLAGS.has(flag));
  if (unknown !== undefined)
    throw new Error(`${where}: there is no flag '${unknown}'; see test/docs/README.md.`);
  return { language, flags: new Set(flags), file };
}

/** A section that begins with `continue` goes on with the program of the one before. */
function joined(sections: Section[], path: string): Section[] {
  const result: Section[] = [];
  for (const section of sections.filter(({ blocks }) => blocks.length > 0)) {
    const goesOn = section.blocks.some(({ flags }) => flags.has('continue'));
    const before = result.at(-1);
    if (goesOn && !before) throw new Error(`${path}:${section.line}: there is nothing to continue.`);
    if (goesOn) before!.blocks.push(...section.blocks);
    else result.push(section);
  }
  return result;
}
