import { assertIdentifier, InvalidArgumentError } from '@nestbox/core';
import { quoteIdentifier } from './sql-text.js';

/*
 * Placeholders in .sql files, for parameters { schema: 'public', table: 'kv_store' }:
 *
 *   {{table}}                          "kv_store"                        an identifier
 *   {{table+_history}}                 "kv_store_history"                with something added
 *   {{schema.table+_history}}          "public"."kv_store_history"       qualified
 *   {{table:literal}}                  'kv_store'                        a string
 *   {{schema.table+_log:literal}}      '"public"."kv_store_log"'         a string that holds the qualified name
 *   {{schema.table+_log:regclass}}     '"public"."kv_store_log"'::regclass
 *
 * They bring their own quotes, so they must not stand inside quotes, nor in comments. Function bodies between
 * dollar signs are fine.
 */

const PLACEHOLDER = /\{\{([^{}]*)\}\}/g;
const REFERENCE = /^([a-z_]\w*)(?:\.([a-z_]\w*))?(?:\+(\w+))?(?::(literal|regclass))?$/;
const DOLLAR_QUOTE = /\$(?:[A-Za-z_]\w*)?\$/g;

/**
 * The parameters of a template, by name.
 */
export type TemplateParameters = Readonly<Record<string, string>>;

/**
 * Fills in the placeholders of an SQL template.
 *
 * @param file for messages
 * @throws InvalidArgumentError for a placeholder that cannot be read or has no parameter, for a name over 63 bytes,
 *   and for a parameter that would end the comment or function body that it stands in
 */
export function renderTemplate(template: string, parameters: TemplateParameters, file: string): string {
  const used = new Set<string>();
  const sql = template.replaceAll(PLACEHOLDER, (placeholder, content: string) => {
    const match = REFERENCE.exec(content.trim());
    if (match === null) {
      throw new InvalidArgumentError(
        file,
        `${placeholder} is not a placeholder; write {{name}}, {{name+_suffix}}, …`,
      );
    }
    const [, first = '', second, suffix = '', form] = match;
    const names = second === undefined ? [first] : [first, second];
    const values = names.map((name) => {
      const value = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
      if (value === undefined) {
        const known = Object.keys(parameters).join(', ') || 'none';
        throw new InvalidArgumentError(file, `${placeholder} has no parameter; known are: ${known}.`);
      }
      used.add(name);
      return value;
    });
    values.push(values.pop()! + suffix);
    for (const value of values) assertIdentifier(value, `parameters.${first}`);
    const quoted = values.map(quoteIdentifier).join('.');
    if (form === undefined) return quoted;
    const literal = quoteLiteral(second === undefined && form === 'literal' ? values[0]! : quoted);
    return form === 'literal' ? literal : `${literal}::regclass`;
  });
  for (const name of used) assertHarmless(parameters[name]!, `parameters.${name}`, template);
  return sql;
}

/** A text as an SQL string, whatever `standard_conforming_strings` says. */
export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}

/** Quotes do not protect a name that stands inside a function body or, by mistake, in a comment. */
function assertHarmless(value: string, path: string, template: string): void {
  if (/\p{Cc}/u.test(value)) throw new InvalidArgumentError(path, 'contains a control character; remove it.');
  for (const ending of [...(template.match(DOLLAR_QUOTE) ?? []), '*/']) {
    if (value.includes(ending)) throw new InvalidArgumentError(path, `must not contain ${ending}.`);
  }
}
