import { cut, textWidth, visible } from './text-width.js';

export interface Column {
  readonly header: string;
  /** Numbers stand to the right. Default: left. */
  readonly align?: 'right';
  /** Whether it may be cut when the terminal is too narrow. Default: false. */
  readonly isFlexible?: boolean;
}

const GAP = '  ';
const LEAST = 8;

/**
 * Lines with aligned columns, a header first.
 *
 * @param width of the terminal; undefined cuts nothing
 */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number | undefined,
): string {
  const cells = rows.map((row) => row.map(visible));
  const natural = columns.map(({ header }, i) =>
    cells.reduce((most, row) => Math.max(most, textWidth(row[i]!)), textWidth(header)),
  );
  const widths = width === undefined ? natural : narrowed(columns, natural, width);
  const lines = [columns.map(({ header }) => header), ...cells].map((row) =>
    row
      .map((text, i) => aligned(cut(text, widths[i]!), widths[i]!, columns[i]!))
      .join(GAP)
      .trimEnd(),
  );
  return lines.join('\n');
}

/** A list of names and values, aligned. */
export function facts(pairs: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...pairs.map(([name]) => textWidth(name)));
  return pairs.map(([name, value]) => `${name.padEnd(width)}${GAP}${visible(value)}`.trimEnd()).join('\n');
}

/** The widest flexible columns give way first. */
function narrowed(columns: readonly Column[], natural: readonly number[], width: number): number[] {
  const widths = [...natural];
  let excess = widths.reduce((sum, each) => sum + each, 0) + GAP.length * (widths.length - 1) - width;
  while (excess > 0) {
    let widest = -1;
    for (const [i, { isFlexible = false }] of columns.entries()) {
      if (isFlexible && widths[i]! > LEAST && (widest < 0 || widths[i]! > widths[widest]!)) widest = i;
    }
    if (widest < 0) break;
    widths[widest]!--;
    excess--;
  }
  return widths;
}

function aligned(text: string, width: number, { align }: Column): string {
  const padding = ' '.repeat(Math.max(0, width - textWidth(text)));
  return align === 'right' ? padding + text : text + padding;
}
