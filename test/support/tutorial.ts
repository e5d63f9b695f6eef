/** What a page asks its reader to do, in its order. */
export type Step =
  | { do: 'write'; path: string; content: string; line: number }
  | { do: 'run'; commands: string; shown: string | undefined; line: number };

const FENCED = /^```(\w*)\n(.*?)^```$/gms;
const NAMED = /(?:[Ww]rite|[Rr]eplace)\s+`([^`\s]+)`/g;

/**
 * Reads the steps out of a page in Markdown: a block of `sh` is to be run, a block of `text` behind it is what it shows,
 * and any other block is the file that the paragraphs before it ask to write or to replace.
 */
export function stepsOf(page: string): Step[] {
  const steps: Step[] = [];
  let end = 0;
  for (const match of page.matchAll(FENCED)) {
    const [whole, language, content] = match;
    const said = page.slice(end, match.index);
    const line = page.slice(0, match.index).split('\n').length;
    end = match.index + whole.length;
    const last = steps.at(-1);
    if (language === 'sh') {
      steps.push({ do: 'run', commands: content!, shown: undefined, line });
    } else if (language === 'text') {
      if (last?.do !== 'run') throw new Error(`Line ${line}: nothing was run that could show this.`);
      last.shown = content;
    } else {
      const path = [...said.matchAll(NAMED)].at(-1)?.[1];
      if (path === undefined) throw new Error(`Line ${line}: it is not said which file this is.`);
      steps.push({ do: 'write', path, content: content!, line });
    }
  }
  return steps;
}
