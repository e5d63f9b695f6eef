/** What any schema library finds (https://standardschema.dev). */
export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** Where a value is wrong, and how. */
export interface PlainIssue {
  /** Such as `items[0].price`; empty for the value itself. */
  path: string;
  message: string;
}

/** What a schema found, with a fault of its own for each property that it does not know. */
export function plainIssues(issues: readonly SchemaIssue[], root?: string): PlainIssue[] {
  return issues.flatMap((issue) => {
    const path = root === undefined ? (issue.path ?? []) : [root, ...(issue.path ?? [])];
    const unknown = unknownKeys(issue);
    if (unknown === undefined) return { path: formatPath(path), message: issue.message };
    return unknown.map((key) => ({
      path: formatPath([...path, key]),
      message: 'is not known here; leave it out.',
    }));
  });
}

/** Zod has one issue, at the object, for all properties that it does not know. */
function unknownKeys(issue: SchemaIssue): string[] | undefined {
  return 'code' in issue && issue.code === 'unrecognized_keys' && 'keys' in issue
    ? (issue.keys as string[])
    : undefined;
}

/** `['items', 0, 'price']` as `items[0].price`. */
function formatPath(path: NonNullable<SchemaIssue['path']>): string {
  let text = '';
  for (const segment of path) {
    const key = typeof segment === 'object' ? segment.key : segment;
    if (typeof key === 'number') text += `[${key}]`;
    else if (/^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(String(key)))
      text += text === '' ? String(key) : `.${String(key)}`;
    else text += `[${JSON.stringify(String(key))}]`;
  }
  return text;
}
