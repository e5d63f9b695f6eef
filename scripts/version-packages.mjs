import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * `npm run version`: has changesets raise the versions and the ranges between the libraries, and brings what changesets
 * does not know of in step, the lockfile and CHANGELOG.md.
 */
const root = new URL('../', import.meta.url);
const before = libVersion();
const changeset = fileURLToPath(new URL('node_modules/@changesets/cli/bin.js', root));
execFileSync(process.execPath, [changeset, 'version'], { cwd: root, stdio: 'inherit' });

const version = libVersion();
if (version !== before) {
  writeJson('package.json', { ...readJson('package.json'), version });
  alignLock();
}
const changelog = readFileSync(new URL('CHANGELOG.md', root), 'utf8');
if (changelog.includes(`\n## [${version}]`)) {
  process.stdout.write('There are no changesets, so every version stays as it is.\n');
} else {
  // Also for the very first release, which has the version that the manifests begin with.
  const today = new Date().toISOString().slice(0, 10);
  const dated = changelog.replace(/^## \[Unreleased\]$/m, `## [Unreleased]\n\n## [${version}] - ${today}`);
  writeFileSync(new URL('CHANGELOG.md', root), dated);
  process.stdout.write(`All libraries are at ${version}. Look at the changes, and commit them.\n`);
}

/** All libraries have the same. */
function libVersion() {
  return readJson('libs/core/package.json').version;
}

/**
 * Not by npm, which forgets the binaries of other platforms where it has installed its own. Nothing but the workspaces
 * changes in a release.
 */
function alignLock() {
  const lock = readJson('package-lock.json');
  lock.version = version;
  lock.packages[''].version = version;
  for (const [folder, entry] of Object.entries(lock.packages)) {
    if (!/^(libs|apps)\/[^/]+$/.test(folder)) continue;
    const manifest = readJson(`${folder}/package.json`);
    entry.version = manifest.version;
    for (const name of Object.keys(entry.dependencies ?? {})) {
      entry.dependencies[name] = manifest.dependencies[name];
    }
  }
  writeJson('package-lock.json', lock);
}

function readJson(path) {
  return JSON.parse(readFileSync(new URL(path, root), 'utf8'));
}

function writeJson(path, value) {
  writeFileSync(new URL(path, root), `${JSON.stringify(value, null, 2)}\n`);
}
