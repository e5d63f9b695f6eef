import ts from 'typescript';

/** A name that a module has at its top level. */
export interface Name {
  name: string;
  /** Whether it is there for types only. */
  isType: boolean;
}

/** An import of one name. `imported` is `*` for a namespace, and empty for an import for its effects. */
export interface Import extends Name {
  from: string;
  imported: string;
}

export function parse(text: string, file = 'block.ts'): ts.SourceFile {
  return ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true);
}

/** The names that the statements at the top declare. */
export function declaredNames(source: ts.SourceFile): Name[] {
  return source.statements.flatMap((statement): Name[] => {
    if (ts.isVariableStatement(statement))
      return statement.declarationList.declarations.flatMap(({ name }) => namesOf(name));
    const isType = ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement);
    if (
      isType ||
      ts.isFunctionDeclaration(statement) ||
      ts.isClassDeclaration(statement) ||
      ts.isEnumDeclaration(statement)
    )
      return statement.name ? [{ name: statement.name.text, isType }] : [];
    return [];
  });
}

/** The names in a pattern such as `{ a, b: [c] }`. */
export function namesOf(binding: ts.BindingName): Name[] {
  if (ts.isIdentifier(binding)) return [{ name: binding.text, isType: false }];
  return binding.elements.flatMap((element) => (ts.isBindingElement(element) ? namesOf(element.name) : []));
}

/** The imports of a module, one by one, and its text with blanks in their place. */
export function takeImports(text: string): { imports: Import[]; rest: string } {
  const source = parse(text);
  const imports: Import[] = [];
  let rest = text;
  for (const statement of source.statements.filter(ts.isImportDeclaration)) {
    imports.push(...importsOf(statement));
    const [from, to] = [statement.getStart(source), statement.getEnd()];
    rest = rest.slice(0, from) + rest.slice(from, to).replaceAll(/[^\n]/g, ' ') + rest.slice(to);
  }
  return { imports, rest };
}

function importsOf(statement: ts.ImportDeclaration): Import[] {
  const from = (statement.moduleSpecifier as ts.StringLiteral).text;
  const clause = statement.importClause;
  if (!clause) return [{ from, imported: '', name: '', isType: false }];
  const allTypes = clause.phaseModifier === ts.SyntaxKind.TypeKeyword;
  const found: Import[] = [];
  if (clause.name) found.push({ from, imported: 'default', name: clause.name.text, isType: allTypes });
  const bindings = clause.namedBindings;
  if (bindings && ts.isNamespaceImport(bindings))
    found.push({ from, imported: '*', name: bindings.name.text, isType: allTypes });
  if (bindings && ts.isNamedImports(bindings))
    for (const { name, propertyName, isTypeOnly } of bindings.elements)
      found.push({
        from,
        imported: (propertyName ?? name).text,
        name: name.text,
        isType: allTypes || isTypeOnly,
      });
  return found;
}

/** The imports on one line, each name once, without those in `except`. */
export function importLine(imports: readonly Import[], except: ReadonlySet<string>): string {
  const byName = new Map<string, Import>();
  for (const found of imports) {
    if (found.name !== '' && except.has(found.name)) continue;
    const key = found.name === '' ? `import ${found.from}` : found.name;
    const before = byName.get(key);
    if (!before || (before.isType && !found.isType)) byName.set(key, found);
  }
  return [...byName.values()].map(written).join(' ');
}

function written({ from, imported, name, isType }: Import): string {
  if (imported === '') return `import '${from}';`;
  const type = isType ? 'type ' : '';
  if (imported === 'default') return `import ${type}${name} from '${from}';`;
  if (imported === '*') return `import ${type}* as ${name} from '${from}';`;
  return `import { ${type}${imported === name ? name : `${imported} as ${name}`} } from '${from}';`;
}
