import { compareUtf8 } from '@nestbox/core';
import { quoteIdentifier, textArray, type Postgres, type StatementCall } from '@nestbox/postgres';
import type { AppendOutcome, AppendRequest } from '../event-store.backend.js';
import type { ExpectedStreamVersion } from '../event.types.js';
import { toBigInt } from './message-rows.js';

type Row = Record<string, unknown>;

/** What was appended, and whether there are consumers that want to hear of it. */
export interface Appended {
  outcomes: AppendOutcome[];
  heard: boolean;
}

interface AppendCall extends StatementCall {
  parse(rows: readonly Row[]): Appended;
}

/** The statement that appends. */
export class MessageWriter {
  private readonly statement: string;
  private readonly removal: string;

  constructor(
    private readonly postgres: Postgres,
    schema: string,
  ) {
    const quoted = quoteIdentifier(schema);
    this.statement = `select ord, outcome, version, positions, at as time, noted, heard
      from ${quoted}.emt_append($1::text[], $2::text[], $3::text[], $4::bigint[], $5::integer[], $6::text::jsonb, $7::boolean)`;
    this.removal = `select deleted, conflict from ${quoted}.emt_delete_stream($1, $2, $3::text::bigint)`;
  }

  async append(requests: readonly AppendRequest[]): Promise<Appended> {
    const call = this.appendCall(requests);
    return call.parse(await this.postgres.query(call.text, call.params));
  }

  /** The statement that appends, and what its rows say. */
  appendCall(requests: readonly AppendRequest[]): AppendCall {
    const order = orderOf(requests);
    const sorted = order.map((index) => requests[index]!);
    const params = [
      textArray(sorted.map(({ partition }) => partition)),
      textArray(sorted.map(({ streamName }) => streamName)),
      textArray(sorted.map(({ category }) => category)),
      `{${sorted.map(({ expected }) => codeOf(expected)).join(',')}}`,
      `{${sorted.map(({ messages }) => messages.length).join(',')}}`,
      `[${sorted.map(({ encoded }) => encoded).join(',')}]`,
      requests.some(({ messages }) => messages.some(({ hasOwnId }) => hasOwnId)),
    ];
    return {
      text: this.statement,
      params,
      parse: (rows) => {
        const outcomes = Array.from<AppendOutcome>({ length: requests.length });
        for (const row of rows) outcomes[order[Number(row['ord']) - 1]!] = outcomeOf(row);
        return { outcomes, heard: rows[0]?.['heard'] === true };
      },
    };
  }

  async deleteStream(
    partition: string,
    streamName: string,
    expected: ExpectedStreamVersion,
  ): Promise<{ deleted: boolean } | { conflict: bigint }> {
    const [row] = await this.postgres.query(this.removal, [partition, streamName, codeOf(expected)]);
    const conflict = row!['conflict'];
    return conflict === null ? { deleted: row!['deleted'] === true } : { conflict: toBigInt(conflict) };
  }
}

/** All callers lock streams in this order. */
function orderOf(requests: readonly AppendRequest[]): number[] {
  const order = requests.map((_, index) => index);
  if (order.length === 1) return order;
  return order.sort((i, j) => {
    const [a, b] = [requests[i]!, requests[j]!];
    return compareUtf8(a.partition, b.partition) || compareUtf8(a.streamName, b.streamName);
  });
}

function codeOf(expected: ExpectedStreamVersion): string {
  switch (expected) {
    case 'NO_CONCURRENCY_CHECK':
      return '-1';
    case 'STREAM_EXISTS':
      return '-2';
    case 'STREAM_DOES_NOT_EXIST':
      return '-3';
    default:
      return String(expected);
  }
}

function outcomeOf(row: Row): AppendOutcome {
  const version = toBigInt(row['version']);
  switch (row['outcome']) {
    case 'appended':
      return {
        kind: 'appended',
        version,
        positions: String(row['positions']).split(',').map(BigInt),
        createdAt: new Date(row['time'] as string | Date),
      };
    case 'repeated':
      return { kind: 'repeated', version, position: BigInt(String(row['positions'])) };
    case 'overlap':
      return { kind: 'overlap', messageId: String(row['noted']) };
    case 'archived':
      return { kind: 'archived' };
    case 'deleted':
      return { kind: 'deleted' };
    default:
      return { kind: 'conflict', current: version };
  }
}
