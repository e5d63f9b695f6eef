import type { IncomingMessage } from 'node:http';
import { InvalidArgumentError } from '@nestbox/core';
import type { OriginRule } from './nestbox-ws-adapter.options.js';

export type OriginCheck = (request: IncomingMessage) => boolean | Promise<boolean>;

/** @throws InvalidArgumentError */
export function originCheck(rule: OriginRule | undefined): OriginCheck {
  const matches = matcherOf(rule);
  return (request) => {
    const { origin } = request.headers;
    return origin === undefined || matches(origin, request);
  };
}

function matcherOf(
  rule: OriginRule | undefined,
): (origin: string, request: IncomingMessage) => boolean | Promise<boolean> {
  if (rule === undefined) return isSameHost;
  if (typeof rule === 'function') return rule;
  const rules = Array.isArray(rule) ? (rule as readonly (string | RegExp)[]) : [rule as string | RegExp];
  const texts = new Set<string>();
  const patterns: RegExp[] = [];
  for (const [i, one] of rules.entries()) {
    if (typeof one === 'string') texts.add(one);
    // Those that remember where they were would refuse every other client.
    else if (one instanceof RegExp) patterns.push(new RegExp(one.source, one.flags.replaceAll(/[gy]/g, '')));
    else throw new InvalidArgumentError(`origins[${i}]`, 'must be a string or a RegExp.');
  }
  return (origin) => texts.has('*') || texts.has(origin) || patterns.some((pattern) => pattern.test(origin));
}

function isSameHost(origin: string, { headers: { host } }: IncomingMessage): boolean {
  try {
    const from = new URL(origin);
    // Through the same protocol, so that its default port may be given or left out.
    return host !== undefined && from.host === new URL(`${from.protocol}//${host}`).host;
  } catch {
    return false;
  }
}
