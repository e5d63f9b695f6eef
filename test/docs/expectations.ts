import ts from 'typescript';
import { namesOf, parse } from './names.js';

const VALUE = /^\/\/ → (?<value>.+)$/;
const THROWS = /^\/\/ throws (?<error>.+)$/;
const PRINTS = /^\/\/ prints: (?<text>.+)$/;

export interface Expected {
  line: number;
  text: string;
}

/**
 * Makes checks of the comments `// → value` and `// throws Error` behind a statement, on the statement's own lines, and
 * collects what `// prints: text` announces.
 *
 * @param before how many lines of the page are before the text
 * @throws Error where a comment stands behind nothing that has a value
 */
export function withChecks(
  text: string,
  before: number,
): { text: string; values: number[]; prints: Expected[] } {
  const source = parse(text);
  const statements = statementsIn(source);
  const values: number[] = [];
  const prints: Expected[] = [];
  const inserts: { at: number; text: string }[] = [];
  for (const { comment, pos } of commentsIn(text, source)) {
    const line = source.getLineAndCharacterOfPosition(pos).line + 1 + before;
    const printed = PRINTS.exec(comment)?.groups?.['text'];
    if (printed !== undefined) prints.push({ line, text: printed });
    const value = VALUE.exec(comment)?.groups?.['value'];
    const error = THROWS.exec(comment)?.groups?.['error'];
    if (value === undefined && error === undefined) continue;
    const statement = statements.findLast((one) => text.slice(one.end, pos).trim() === '' && one.end <= pos);
    if (!statement) throw new Error(`Line ${line}: there is no statement before '${comment}'.`);
    values.push(line);
    inserts.push(
      ...(value === undefined
        ? throwing(statement, source, line, error!)
        : valued(statement, source, line, value)),
    );
  }
  let result = text;
  for (const { at, text: inserted } of inserts.toSorted((a, b) => b.at - a.at))
    result = result.slice(0, at) + inserted + result.slice(at);
  return { text: result, values, prints };
}

function statementsIn(source: ts.SourceFile): ts.Statement[] {
  const found: ts.Statement[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isExpressionStatement(node) || ts.isVariableStatement(node)) found.push(node);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found.toSorted((a, b) => a.end - b.end);
}

function commentsIn(text: string, source: ts.SourceFile): { comment: string; pos: number }[] {
  const found = new Map<number, string>();
  const visit = (node: ts.Node): void => {
    if (node.getChildCount(source) === 0) {
      const ranges = [
        ...(ts.getLeadingCommentRanges(text, node.getFullStart()) ?? []),
        ...(ts.getTrailingCommentRanges(text, node.end) ?? []),
      ];
      for (const { pos, end } of ranges) found.set(pos, text.slice(pos, end));
    }
    for (const child of node.getChildren(source)) visit(child);
  };
  visit(source);
  return [...found].toSorted(([a], [b]) => a - b).map(([pos, comment]) => ({ pos, comment: comment.trim() }));
}

function valued(statement: ts.Statement, source: ts.SourceFile, line: number, value: string) {
  const call = `$doc.value(${line}, ${JSON.stringify(value)}, `;
  if (ts.isExpressionStatement(statement)) {
    const { expression } = statement;
    return [
      { at: expression.getStart(source), text: `${call}(` },
      { at: expression.end, text: '))' },
    ];
  }
  const [declared, ...others] = (statement as ts.VariableStatement).declarationList.declarations;
  const names = others.length === 0 && declared ? namesOf(declared.name).map(({ name }) => name) : [];
  if (names.length === 0) throw new Error(`Line ${line}: it is not clear of what this is the value.`);
  const shown = names.length === 1 ? names[0]! : `{ ${names.join(', ')} }`;
  return [{ at: statement.end, text: ` ${call}${shown});` }];
}

function throwing(statement: ts.Statement, source: ts.SourceFile, line: number, error: string) {
  if (!ts.isExpressionStatement(statement))
    throw new Error(`Line ${line}: 'throws' is for a statement without a result.`);
  const { expression } = statement;
  const [prefix, fn] = ts.isAwaitExpression(expression) ? ['await ', 'rejects'] : ['', 'throws'];
  const start = expression.getStart(source);
  const async = fn === 'rejects' ? 'async ' : '';
  return [
    { at: start, text: `${prefix}$doc.${fn}(${line}, ${JSON.stringify(error)}, ${async}() => (` },
    { at: expression.end, text: '))' },
  ];
}
