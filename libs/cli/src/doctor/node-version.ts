import { ok, problem, type Finding } from './finding.js';

const LEAST = [20, 19, 0] as const;

export function nodeVersion(version = process.versions.node): Finding {
  const parts = version.split('.').map((part) => Number.parseInt(part, 10));
  const at = LEAST.findIndex((least, i) => parts[i] !== least);
  const isOld = at >= 0 && (parts[at] ?? 0) < LEAST[at]!;
  return isOld
    ? problem('node.version', `Node ${version}`, `Install Node ${LEAST.join('.')} or later.`)
    : ok('node.version', `Node ${version}`);
}
