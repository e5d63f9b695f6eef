import { readFileSync } from 'node:fs';
import { Application, Converter, ReflectionKind } from 'typedoc';

/**
 * A plugin of TypeDoc. Modules get the names that they are imported by, such as `@nestbox/testing/contracts`, and
 * parameters that are taken apart where they arrive get the name that the comments have for them, `options`. An export
 * without a comment is a warning.
 *
 * @param {import('typedoc').Application} app
 */
export function load(app) {
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (_context, reflection) => {
    if (!reflection.kindOf(ReflectionKind.Module)) return;
    const file = reflection.project.getSymbolIdFromReflection(reflection)?.fileName;
    const [, lib, subpath] = /\/libs\/([^/]+)\/src\/(?:(.+)\/)?index\.ts$/.exec(file ?? '') ?? [];
    if (lib === undefined) return;
    const manifest = new URL(`../libs/${lib}/package.json`, import.meta.url);
    const { name } = JSON.parse(readFileSync(manifest, 'utf8'));
    reflection.name = subpath === undefined ? name : `${name}/${subpath}`;
  });
  app.converter.on(Converter.EVENT_CREATE_PARAMETER, (_context, reflection) => {
    if (reflection.name === '__namedParameters') reflection.name = 'options';
  });
  // TypeDoc's own check also asks for a comment on each method, where the name and the types often say everything.
  app.on(Application.EVENT_VALIDATE_PROJECT, (project) => {
    for (const module of project.children ?? []) {
      for (const one of module.children ?? []) {
        if (one.isReference() || isDocumented(one)) continue;
        app.logger.validationWarning(`${one.getFriendlyFullName()} has no doc comment`);
      }
    }
  });
}

/** @param {import('typedoc').DeclarationReflection} reflection */
function isDocumented(reflection) {
  const declared = reflection.type?.type === 'reflection' ? reflection.type.declaration : undefined;
  const signatures = [...(reflection.signatures ?? []), ...(declared?.signatures ?? [])];
  return [reflection, ...signatures].some((one) => one.hasComment());
}
