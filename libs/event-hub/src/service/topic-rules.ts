import type { Retention } from '@nestbox/channels';
import { InvalidArgumentError, parseDuration } from '@nestbox/core';
import type { HistoryOptions, TopicOptions } from '../event-hub.options.js';
import type { SchemaResult, StandardSchemaV1 } from '../standard-schema.js';
import { parseTopicPattern, type TopicMatcher } from './topic-pattern.js';

/** Kept with `history: true` where the topic has no retention of its own. */
const DEFAULT_RETENTION: Retention = { size: 100, ttlMs: 60 * 60 * 1000 };

/** What holds for a topic. */
export interface TopicRule {
  retention: Retention | undefined;
  schema: StandardSchemaV1 | undefined;
}

const NO_RULE: TopicRule = { retention: undefined, schema: undefined };

/** Which options hold for a topic: those of its own name, else those of the first pattern that it matches. */
export class TopicRules {
  private readonly exact = new Map<string, TopicRule>();
  private readonly patterns: { matcher: TopicMatcher; rule: TopicRule }[] = [];

  /** @throws InvalidArgumentError */
  constructor(topics: Readonly<Record<string, TopicOptions>> = {}) {
    for (const [text, options] of Object.entries(topics)) {
      const path = `topics[${JSON.stringify(text)}]`;
      const matcher = parseTopicPattern(text, path);
      const rule = readRule(options, path);
      if (matcher.isPattern) this.patterns.push({ matcher, rule });
      else this.exact.set(text, rule);
    }
  }

  of(topic: string): TopicRule {
    const exact = this.exact.get(topic);
    if (exact !== undefined || this.patterns.length === 0) return exact ?? NO_RULE;
    return this.patterns.find(({ matcher }) => matcher.matches(topic))?.rule ?? NO_RULE;
  }
}

/** What `publish` keeps, by its own option and the topic's. */
export function retentionOf(
  history: boolean | HistoryOptions | undefined,
  rule: TopicRule,
): Retention | undefined {
  if (history === undefined) return rule.retention;
  if (history === false) return undefined;
  if (history === true) return rule.retention ?? DEFAULT_RETENTION;
  return readRetention(history, 'options.history');
}

/** The value to use in place of the one that was validated. @throws InvalidArgumentError naming the path */
export function valueOf(result: SchemaResult<unknown>): unknown {
  if (result.issues === undefined) return result.value;
  const [issue] = result.issues;
  const path = (issue?.path ?? []).map((step) => stepOf(typeof step === 'object' ? step.key : step)).join('');
  throw new InvalidArgumentError(
    `data${path}`,
    issue?.message ?? 'is not what the schema of the topic asks for.',
  );
}

function stepOf(key: PropertyKey): string {
  if (typeof key === 'number') return `[${key}]`;
  const text = String(key);
  return /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(text) ? `.${text}` : `[${JSON.stringify(text)}]`;
}

function readRule(options: TopicOptions, path: string): TopicRule {
  if (typeof options !== 'object' || options === null) {
    throw new InvalidArgumentError(path, 'must be an object such as { history: { size: 100, ttl: "1h" } }.');
  }
  const { history, schema } = options;
  if (schema !== undefined && typeof schema?.['~standard']?.validate !== 'function') {
    throw new InvalidArgumentError(
      `${path}.schema`,
      'must be a schema with Standard Schema, such as one of Zod.',
    );
  }
  return {
    retention: history === undefined ? undefined : readRetention(history, `${path}.history`),
    schema,
  };
}

function readRetention(history: HistoryOptions, path: string): Retention {
  if (typeof history !== 'object' || history === null) {
    throw new InvalidArgumentError(path, 'must be an object such as { size: 100, ttl: "1h" }.');
  }
  const { size, ttl } = history;
  if (!Number.isInteger(size) || size < 1 || size > 1_000_000) {
    throw new InvalidArgumentError(`${path}.size`, 'must be a whole number of 1 to 1,000,000.');
  }
  return { size, ttlMs: parseDuration(ttl, `${path}.ttl`) };
}
