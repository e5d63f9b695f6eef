import { readFileSync, readdirSync, writeFileSync } from 'node:fs';

/**
 * Writes the repository that a release is made in into the manifests of the libraries, as npm wants it for provenance. It
 * is asked of the workflow, so that a fork never publishes with the address of another repository.
 */
const { GITHUB_SERVER_URL, GITHUB_REPOSITORY } = process.env;
if (!GITHUB_SERVER_URL || !GITHUB_REPOSITORY) {
  process.stderr.write(
    'GITHUB_SERVER_URL and GITHUB_REPOSITORY are not set. Run this in the release workflow.\n',
  );
  process.exit(1);
}
const url = `${GITHUB_SERVER_URL}/${GITHUB_REPOSITORY}`;
const libs = new URL('../libs/', import.meta.url);

for (const lib of readdirSync(libs)) {
  const file = new URL(`${lib}/package.json`, libs);
  const manifest = JSON.parse(readFileSync(file, 'utf8'));
  manifest.repository = { type: 'git', url: `git+${url}.git`, directory: `libs/${lib}` };
  manifest.homepage = `${url}/tree/main/libs/${lib}#readme`;
  manifest.bugs = { url: `${url}/issues` };
  writeFileSync(file, `${JSON.stringify(manifest, null, 2)}\n`);
}
