import { InvalidArgumentError, assertName } from '@nestbox/core';

/** Decides which topics are meant. */
export interface TopicMatcher {
  /** The text that it was made of. */
  readonly text: string;
  /** Whether it stands for many topics. */
  readonly isPattern: boolean;
  matches(topic: string): boolean;
}

/**
 * Reads a topic, or a pattern: segments divided by dots, of which `*` stands for one segment, whatever it is, and `**`
 * at the end for any number of them, none included. A star inside a segment, as in `a*b`, stands for itself.
 *
 * @throws InvalidArgumentError for a malformed name, and for `**` before the end
 */
export function parseTopicPattern(text: unknown, path: string): TopicMatcher {
  assertName(text, path);
  const segments = text.split('.');
  const isPattern = segments.some((segment) => segment === '*' || segment === '**');
  if (!isPattern) return { text, isPattern, matches: (topic) => topic === text };
  const open = segments.at(-1) === '**';
  if (open) segments.pop();
  if (segments.includes('**')) {
    throw new InvalidArgumentError(path, "'**' may only be the last segment; use '*' for a single one.");
  }
  return { text, isPattern, matches: (topic) => matchesSegments(segments, open, topic) };
}

function matchesSegments(segments: readonly string[], open: boolean, topic: string): boolean {
  const actual = topic.split('.');
  if (open ? actual.length < segments.length : actual.length !== segments.length) return false;
  return segments.every((segment, i) => segment === '*' || segment === actual[i]);
}
