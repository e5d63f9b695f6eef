import { type PlainIssue, plainIssues } from '../http/issues.js';
import { type Product, productLine } from './product.js';

/** A fault in a catalogue file. */
export interface LineFault extends PlainIssue {
  /** From 1. */
  line: number;
}

/** A catalogue file that cannot be loaded; nothing of it was. */
export class CatalogueFileError extends Error {
  constructor(
    readonly file: string,
    readonly faults: readonly LineFault[],
  ) {
    super(
      faults
        .map(({ line, path, message }) => `${file}:${line}: ${path === '' ? '' : `${path} `}${message}`)
        .join('\n'),
    );
    this.name = 'CatalogueFileError';
  }
}

/**
 * Reads a catalogue: one product with its `id` per line, as JSON. Empty lines are skipped.
 *
 * @throws CatalogueFileError with every fault of every line
 */
export function parseCatalogue(file: string, text: string): Map<string, Product> {
  const products = new Map<string, Product>();
  const lineOf = new Map<string, number>();
  const faults: LineFault[] = [];
  // A byte order mark is no part of the first line.
  for (const [i, content] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    if (content.trim() === '') continue;
    const line = i + 1;
    const parsed = productLine.safeParse(parseJson(content));
    if (!parsed.success) {
      faults.push(...plainIssues(parsed.error.issues).map((issue) => ({ line, ...issue })));
      continue;
    }
    const { id, ...product } = parsed.data;
    const earlier = lineOf.get(id);
    if (earlier !== undefined) {
      faults.push({ line, path: 'id', message: `is the same as in line ${earlier}.` });
      continue;
    }
    lineOf.set(id, line);
    products.set(id, product);
  }
  if (faults.length > 0) throw new CatalogueFileError(file, faults);
  return products;
}

/** Undefined where it is not JSON, which no schema accepts. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
