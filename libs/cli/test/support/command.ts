import { runCommandLine, type Terminal } from '@nestbox/cli';

export interface Ran {
  code: number;
  out: string;
  error: string;
  /** All that was shown as progress. */
  progress: string[];
  /** The questions that were asked. */
  questions: string[];
  /** What was printed, as JSON. */
  json<T = any>(): T;
  /** What was printed, as lines of JSON. */
  lines<T = any>(): T[];
}

export interface Around {
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Piped in. */
  input?: string | AsyncIterable<string | Uint8Array>;
  /** The width of the terminal. */
  columns?: number;
  /** Answers all questions; without it nobody can be asked. */
  answer?: boolean;
  /** Called with each line that is printed. */
  onOut?: (text: string) => void;
  signal?: AbortSignal;
  showsProgress?: boolean;
}

/** Runs the command in this process. */
export async function run(args: readonly string[], around: Around = {}): Promise<Ran> {
  const { env = {}, cwd = '/', input, columns, answer, onOut, signal, showsProgress = false } = around;
  const lines = { out: [] as string[], error: [] as string[] };
  const progress: string[] = [];
  const questions: string[] = [];
  const terminal: Terminal = {
    out: (text) => {
      lines.out.push(text);
      onOut?.(text);
    },
    error: (text) => void lines.error.push(text),
    columns,
    cwd,
    ...(input !== undefined && { input: typeof input === 'string' ? piecesOf(input) : input }),
    ...(showsProgress && { progress: (line: string) => void progress.push(line) }),
    ...(signal !== undefined && { interruption: () => signal }),
    ...(answer !== undefined && {
      ask: async (question: string) => {
        questions.push(question);
        return answer;
      },
    }),
  };
  const code = await runCommandLine(args, env, terminal);
  const out = lines.out.join('\n');
  return {
    code,
    out,
    error: lines.error.join('\n'),
    progress,
    questions,
    json: () => JSON.parse(out) as never,
    lines: () => out.split('\n').map((line) => JSON.parse(line) as never),
  };
}

/** In pieces that cut through lines and letters' neighbours. */
async function* piecesOf(text: string): AsyncGenerator<string> {
  for (let i = 0; i < text.length; i += 1000) yield text.slice(i, i + 1000);
}
