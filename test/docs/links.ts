import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root, type Page } from './page.js';

const LINK = /\]\((?<target>[^)\s]+)\)/g;
const ELSEWHERE = /^[a-z]+:/;

/** The links of a page that lead nowhere in the repository. */
export function brokenLinks({ path, lines }: Page): string[] {
  let isCode = false;
  return lines.flatMap((line, i) => {
    if (line.startsWith('```')) isCode = !isCode;
    if (isCode) return [];
    return [...line.matchAll(LINK)].flatMap((match) => {
      const target = match.groups!['target']!;
      if (ELSEWHERE.test(target) || leads(path, target)) return [];
      return `${path}:${i + 1}: ${target}`;
    });
  });
}

function leads(from: string, target: string): boolean {
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? join(root, from) : join(root, dirname(from), path);
  if (!existsSync(file)) return false;
  return anchor === undefined || !file.endsWith('.md') || anchorsOf(readFileSync(file, 'utf8')).has(anchor);
}

/** The anchors of the headings, as GitHub makes them. */
function anchorsOf(text: string): Set<string> {
  const withoutCode = text.replaceAll(/^```.*?^```$/gms, '');
  const titles = [...withoutCode.matchAll(/^#{1,6} (?<title>.+)$/gm)].map((match) => match.groups!['title']!);
  const anchors = new Set<string>();
  for (const title of titles) {
    const anchor = title
      .toLowerCase()
      .replaceAll(/\[(?<text>[^\]]*)\]\([^)]*\)/g, '$<text>')
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-');
    let name = anchor;
    for (let i = 1; anchors.has(name); i++) name = `${anchor}-${i}`;
    anchors.add(name);
  }
  return anchors;
}
