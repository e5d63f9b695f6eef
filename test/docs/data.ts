import { parse as parseYaml } from 'yaml';
import { isCode } from './programs.js';
import type { Block, Page } from './page.js';

const INI = /^\s*(?:[;#].*|\[[^\]]+\]|[\w.*-]+\s*=.*|)$/;
const RUN = new Set(['sh', 'bash', 'sql']);

/** What is wrong with the blocks of a page that are not run: data that cannot be read, and languages that are not known. */
export function faultsIn(page: Page): string[] {
  return page.sections
    .flatMap(({ blocks }) => blocks)
    .flatMap((block) => {
      const fault = faultOf(block);
      return fault === undefined ? [] : `${page.path}:${block.line}: ${fault}`;
    });
}

function faultOf(block: Block): string | undefined {
  const { language, text, flags, follows } = block;
  if (isCode(block))
    return flags.has('run') && block.file === undefined ? 'only a file can be run.' : undefined;
  if (RUN.has(language)) return undefined;
  if (language === 'text')
    return follows || flags.has('figure')
      ? undefined
      : 'it shows the output of nothing: put it right behind a block, or call it `text figure`.';
  try {
    if (language === 'json') JSON.parse(text);
    else if (language === 'yaml') parseYaml(text);
    else if (language === 'ini') checkIni(text);
    else return `the test does not know blocks of '${language}'; see test/docs/README.md.`;
  } catch (error) {
    return (error as Error).message;
  }
  return undefined;
}

function checkIni(text: string): void {
  const wrong = text.split('\n').find((line) => !INI.test(line));
  if (wrong !== undefined) throw new Error(`this is no line of an ini file: ${wrong}`);
}
