import { readConfigFile, type ConfigFile, type StoreKind } from '../config/config-file.js';
import { serversOf, type ServerOptions, type Servers } from '../config/servers.js';
import { Connections } from '../connections/connections.js';
import { ConfirmationRequiredError, DeclinedError } from '../command.errors.js';
import { compactJson, prettyJson } from '../output/plain.js';
import { table, type Column } from '../output/table.js';
import type { Terminal } from '../terminal.js';

/** The options that every command takes. */
export interface GlobalOptions extends ServerOptions {
  readonly config?: string | undefined;
  readonly json?: boolean | undefined;
}

/** What a command works with. */
export class CommandContext {
  readonly connections: Connections;

  private constructor(
    readonly terminal: Terminal,
    readonly config: ConfigFile,
    readonly servers: Servers,
    readonly isJson: boolean,
  ) {
    this.connections = new Connections(servers);
  }

  /** @throws UsageError for a configuration file, or a URL, that cannot be understood */
  static async of(
    terminal: Terminal,
    env: NodeJS.ProcessEnv,
    options: GlobalOptions,
  ): Promise<CommandContext> {
    const config = await readConfigFile(options.config, terminal.cwd ?? process.cwd());
    return new CommandContext(terminal, config, serversOf(options, env, config), options.json ?? false);
  }

  get cwd(): string {
    return this.terminal.cwd ?? process.cwd();
  }

  /** Prints what was asked for. */
  print(text: string): void {
    this.terminal.out(text);
  }

  /** Prints a value as JSON on several lines. */
  printJson(value: unknown): void {
    this.terminal.out(prettyJson(value));
  }

  /** Prints a value as one line of JSON, and waits for slow readers. */
  async printLine(value: unknown): Promise<void> {
    this.terminal.out(compactJson(value));
    await this.terminal.flush?.();
  }

  /** Prints rows, as a table that fits the terminal. @param absent what to say when there are none */
  printTable(columns: readonly Column[], rows: readonly (readonly string[])[], absent: string): void {
    if (rows.length === 0) this.note(absent);
    else this.terminal.out(table(columns, rows, this.terminal.columns));
  }

  /** Says something to people that is no part of the result. Programs that asked for JSON are spared it. */
  note(text: string): void {
    if (!this.isJson) this.terminal.error(text);
  }

  /** Says how to see more of a list. */
  noteMore(cursor: string | undefined): void {
    if (cursor !== undefined) this.note(`There are more: --cursor ${cursor}`);
  }

  /**
   * Makes sure that something destructive is meant.
   *
   * @param what as in `This deletes 3 keys`: `deletes 3 keys`
   * @throws ConfirmationRequiredError when nobody can be asked; DeclinedError
   */
  async confirm(what: string, { yes }: { readonly yes?: boolean | undefined }): Promise<void> {
    if (yes === true) return;
    if (this.terminal.ask === undefined) throw new ConfirmationRequiredError(what);
    if (!(await this.terminal.ask(`This ${what}. Go on? [y/N] `))) throw new DeclinedError();
  }

  /** The backend that a group of commands works on. */
  storeOf(given: StoreKind | undefined, section: { readonly store?: StoreKind } | undefined): StoreKind {
    return given ?? section?.store ?? 'postgres';
  }
}
