import { InvalidArgumentError } from '@nestbox/core';

/** An entry's version as a strong entity tag: it changes with every change of the entry, and is never used twice. */
export function entityTag(version: bigint): string {
  return `"${version}"`;
}

interface EntityTag {
  weak: boolean;
  /** Between the quotes. */
  opaque: string;
}

type Condition = '*' | readonly EntityTag[];

/** What a GET is to be answered with, given the conditions of the request. */
export type ReadOutcome = 'send' | 'not-modified' | 'precondition-failed';

/**
 * The `If-Match` and `If-None-Match` conditions of a request (RFC 9110, section 13), to be held against the
 * current version of the resource; undefined where it does not exist.
 */
export class Preconditions {
  private readonly ifMatch: Condition | undefined;
  private readonly ifNoneMatch: Condition | undefined;

  /** @throws InvalidArgumentError when a header is neither `*` nor a list of entity tags */
  constructor(headers: { 'if-match'?: string | undefined; 'if-none-match'?: string | undefined }) {
    this.ifMatch = parseCondition(headers['if-match'], 'headers.if-match');
    this.ifNoneMatch = parseCondition(headers['if-none-match'], 'headers.if-none-match');
  }

  /** Whether a PUT or DELETE may go on. */
  allowWrite(current: bigint | undefined): boolean {
    return this.matches(current) && !this.isKnown(current);
  }

  /** How to answer a GET of a resource that exists. */
  read(current: bigint): ReadOutcome {
    if (!this.matches(current)) return 'precondition-failed';
    return this.isKnown(current) ? 'not-modified' : 'send';
  }

  /** `If-Match` compares strongly: a weak tag promises too little to match anything. */
  private matches(current: bigint | undefined): boolean {
    if (this.ifMatch === undefined) return true;
    if (current === undefined) return false;
    return this.ifMatch === '*' || this.ifMatch.some((tag) => !tag.weak && tag.opaque === String(current));
  }

  /** `If-None-Match` compares weakly. */
  private isKnown(current: bigint | undefined): boolean {
    if (this.ifNoneMatch === undefined || current === undefined) return false;
    return this.ifNoneMatch === '*' || this.ifNoneMatch.some((tag) => tag.opaque === String(current));
  }
}

function parseCondition(header: string | undefined, path: string): Condition | undefined {
  if (header === undefined) return undefined;
  if (header.trim() === '*') return '*';
  const tags: EntityTag[] = [];
  // A list may have empty elements (RFC 9110, section 5.6.1), and a tag may have commas between its quotes.
  const element = /[ \t]*(?:(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*)?(?:,|$)/y;
  while (element.lastIndex < header.length) {
    const found = element.exec(header);
    if (found === null) {
      throw new InvalidArgumentError(path, `must be * or a list of entity tags such as "1", W/"2".`);
    }
    if (found[2] !== undefined) tags.push({ weak: found[1] !== undefined, opaque: found[2] });
  }
  return tags;
}
