import { readFileSync, readdirSync } from 'node:fs';

/**
 * The reference of all that the libraries export: `npm run docs:api` writes it to docs/api.
 *
 * What an application can import is what the manifests export, so it is read from there.
 */
const libs = new URL('libs/', import.meta.url);

const manifests = readdirSync(libs).map((lib) => ({
  lib,
  ...JSON.parse(readFileSync(new URL(`${lib}/package.json`, libs), 'utf8')),
}));

const entryPoints = manifests.flatMap(({ lib, exports }) =>
  Object.values(exports).flatMap((target) =>
    typeof target === 'string'
      ? []
      : [target.types.replace('./dist/', `libs/${lib}/src/`).replace(/\.d\.ts$/, '.ts')],
  ),
);

/** @type {import('typedoc').TypeDocOptions & import('typedoc-plugin-markdown').PluginOptions} */
export default {
  name: 'Nestbox',
  plugin: ['typedoc-plugin-markdown', './scripts/typedoc-exports.mjs'],
  tsconfig: 'tsconfig.docs.json',
  entryPoints,
  out: 'docs/api',
  readme: 'none',
  // Machines differ in where the sources are, and releases in their lines; the packages hold no sources to link to.
  disableSources: true,
  disableGit: true,
  hideGenerator: true,
  excludePrivate: true,
  excludeInternal: true,
  // What classes inherit from Error and from Nest is described there.
  excludeExternals: true,
  router: 'member',
  useCodeBlocks: true,
  expandObjects: false,
  parametersFormat: 'table',
  propertiesFormat: 'table',
  typeAliasPropertiesFormat: 'table',
  interfacePropertiesFormat: 'table',
  sort: ['kind', 'alphabetical'],
  kindSortOrder: ['Function', 'Class', 'Interface', 'TypeAlias', 'Variable'],
  validation: {
    notExported: true,
    invalidLink: true,
    invalidPath: true,
    rewrittenLink: true,
    notDocumented: false,
    unusedMergeModuleWith: true,
  },
  treatWarningsAsErrors: true,
};
