/** Where a command prints. */
export interface Output {
  /** What was asked for: one call is one or more whole lines, without the last line break. */
  out(text: string): void;
  /** Failures and hints. */
  error(text: string): void;
}

/** What a command has around it, beside its output. What is absent is what a pipe does not have. */
export interface Terminal extends Output {
  /** The width of the terminal that `out` writes to; absent where it is none, and then nothing is cut. */
  readonly columns?: number | undefined;
  /** Resolves when what was printed has left this process, so that a slow reader does not fill the memory. */
  flush?(): Promise<void>;
  /** Shows a line in the place of the one before; '' takes it away. Present where stderr is a terminal. */
  progress?(line: string): void;
  /** Asks for a y or n; resolves to whether it was y. Present where somebody is there to answer. */
  ask?(question: string): Promise<boolean>;
  /** What is piped in. Default: nothing. */
  readonly input?: AsyncIterable<string | Uint8Array> | undefined;
  /** Called by commands that end in good order when the user interrupts them (Ctrl-C). */
  interruption?(): AbortSignal;
  /** The folder that file names are relative to. Default: the process'. */
  readonly cwd?: string | undefined;
}
