import { readFile } from 'node:fs/promises';

/** The version in the nearest package.json above a `sql` folder; `0.0.0` where there is none. */
export async function releaseOf(directory: URL): Promise<string> {
  const parent = new URL('../', directory);
  // Migrations of an application need no package of their own: then every release counts as the same.
  if (parent.href === directory.href) return '0.0.0';
  try {
    const manifest: unknown = JSON.parse(await readFile(new URL('package.json', parent), 'utf8'));
    const version = (manifest as { version?: unknown }).version;
    return typeof version === 'string' ? version : '0.0.0';
  } catch {
    return releaseOf(parent);
  }
}

/** Orders versions as Semantic Versioning 2.0.0 does; negative when `a` is the older one. */
export function compareReleases(a: string, b: string): number {
  const left = parse(a);
  const right = parse(b);
  return (
    compareParts(left.numbers, right.numbers) ||
    // A pre-release comes before the release itself.
    Number(left.labels.length === 0) - Number(right.labels.length === 0) ||
    compareParts(left.labels, right.labels)
  );
}

function parse(release: string): { numbers: string[]; labels: string[] } {
  const [core = '', ...labels] = release.replace(/\+.*$/, '').split('-');
  const label = labels.join('-');
  return { numbers: core.split('.'), labels: label === '' ? [] : label.split('.') };
}

function compareParts(a: string[], b: string[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const [x, y] = [a[i], b[i]];
    if (x === y) continue;
    if (x === undefined) return -1;
    if (y === undefined) return 1;
    const [xIsNumber, yIsNumber] = [/^\d+$/.test(x), /^\d+$/.test(y)];
    if (xIsNumber && yIsNumber) {
      if (Number(x) !== Number(y)) return Number(x) - Number(y);
    } else if (xIsNumber !== yIsNumber) {
      return xIsNumber ? -1 : 1;
    } else {
      return x < y ? -1 : 1;
    }
  }
  return 0;
}
