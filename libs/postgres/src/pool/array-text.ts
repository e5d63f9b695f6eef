/** The text of one value of a type, and back. */
export interface ElementType {
  parse: ((text: string) => unknown) | undefined;
  serialize: ((value: unknown) => unknown) | undefined;
  /** What stands between elements: a comma, but for `box`. */
  delimiter: string;
}

/** The elements of a PostgreSQL array, such as `{1,NULL,"a, b"}` or `[0:1]={{1},{2}}`. */
export function parseArray(text: string, { parse, delimiter }: ElementType): unknown[] {
  // Bounds other than 1 stand before the array.
  let at = text.indexOf('{');
  const element = (value: string): unknown => (parse === undefined ? value : parse(value));

  function list(): unknown[] {
    const found: unknown[] = [];
    at++;
    while (at < text.length && text[at] !== '}') {
      if (text[at] === '{') found.push(list());
      else if (text[at] === '"') found.push(element(quoted()));
      else found.push(bare());
      if (text[at] === delimiter) at++;
    }
    at++;
    return found;
  }

  function quoted(): string {
    let value = '';
    for (at++; text[at] !== '"'; at++) {
      if (text[at] === '\\') at++;
      value += text[at];
    }
    at++;
    return value;
  }

  function bare(): unknown {
    const start = at;
    while (text[at] !== delimiter && text[at] !== '}') at++;
    const value = text.slice(start, at);
    // A text that reads NULL is quoted.
    return value === 'NULL' ? null : element(value);
  }

  return at < 0 ? [] : list();
}

/** An array as PostgreSQL reads it; nested arrays are its dimensions. */
export function formatArray(values: readonly unknown[], type: ElementType): string {
  const texts = values.map((value) => {
    if (Array.isArray(value)) return formatArray(value, type);
    if (value === null || value === undefined) return 'NULL';
    const text = String(type.serialize === undefined ? value : type.serialize(value));
    return `"${text.replaceAll(/["\\]/g, '\\$&')}"`;
  });
  return `{${texts.join(type.delimiter)}}`;
}
