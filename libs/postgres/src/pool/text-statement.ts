import type postgres from 'postgres';
import type { Executor } from './statement.js';
import type { TypeTables } from './array-types.js';

/** A statement's answer as the server sent it, for who reads it with other rules than ours. */
export interface TextResult {
  /** The command tag, such as `INSERT`. */
  command: string;
  /** Rows that were read or changed; null for a command that has none. */
  rowCount: number | null;
  /** `type` is the oid. */
  columns: { name: string; type: number }[];
  /** Each value's text form, in the order of the columns. */
  rows: (string | null)[][];
}

/** A parameter whose text is sent as it is, whatever type the server takes it for. */
class TextParameter {
  constructor(private readonly text: string) {}

  toString(): string {
    return this.text;
  }
}

type Serializer = (value: unknown) => unknown;

const passing = new WeakSet<Serializer>();

/** Makes a client's serializers leave texts of {@link executeText} as they are. May be called again for new ones. */
export function passTexts(serializers: TypeTables['serializers']): void {
  for (const [type, serialize] of Object.entries(serializers)) {
    if (serialize !== undefined && !passing.has(serialize)) serializers[type] = passingTexts(serialize);
  }
}

/** A serializer that leaves texts of {@link executeText} as they are. */
export function passingTexts(serialize: Serializer): Serializer {
  const own: Serializer = (value) => (value instanceof TextParameter ? value.toString() : serialize(value));
  passing.add(own);
  return own;
}

type RawResult = (Uint8Array | null)[][] & {
  command: string;
  count: number | null;
  columns: { name: string; type: number }[] | undefined;
};

/** Runs a statement whose parameters and values are texts. Of several statements, the last one's answer counts. */
export async function executeText(
  sql: Executor,
  text: string,
  params: readonly (string | null)[],
  prepare: boolean,
): Promise<TextResult> {
  const values = params.map((param) => (param === null ? null : new TextParameter(param)));
  const query = sql.unsafe(text, values as postgres.ParameterOrJSON<never>[], { prepare }).raw();
  const answer: unknown = await query;
  const result = lastOf(answer as RawResult | RawResult[]);
  return {
    command: result.command,
    rowCount: result.count,
    columns: (result.columns ?? []).map(({ name, type }) => ({ name, type })),
    rows: result.map((row) => row.map((value) => (value === null ? null : textOf(value)))),
  };
}

function textOf({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString();
}

function lastOf(answer: RawResult | RawResult[]): RawResult {
  return 'command' in answer ? answer : answer.at(-1)!;
}
