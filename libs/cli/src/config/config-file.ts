import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { messageOf } from '@nestbox/core';
import { didYouMean } from '../nearest.js';
import { UsageError } from '../usage-error.js';

export type StoreKind = 'postgres' | 'redis';

/** What `nestbox.config.json` may say. Everything is optional. */
export interface ConfigFile {
  url?: string;
  redisUrl?: string;
  kv?: {
    store?: StoreKind;
    schema?: string;
    table?: string;
    keyPrefix?: string;
    namespace?: string;
    versioning?: boolean;
  };
  /** Of topics, too, which are kept beside the channels. */
  channels?: { store?: StoreKind; schema?: string; keyPrefix?: string; streams?: string[] };
  events?: { schema?: string; partition?: string; app?: string };
  workflows?: { schema?: string };
}

type Kind = 'text' | 'store' | 'yes or no' | 'texts' | { readonly [key: string]: Kind };

const SHAPE: { readonly [key: string]: Kind } = {
  url: 'text',
  redisUrl: 'text',
  kv: {
    store: 'store',
    schema: 'text',
    table: 'text',
    keyPrefix: 'text',
    namespace: 'text',
    versioning: 'yes or no',
  },
  channels: { store: 'store', schema: 'text', keyPrefix: 'text', streams: 'texts' },
  events: { schema: 'text', partition: 'text', app: 'text' },
  workflows: { schema: 'text' },
};

const DEFAULT_NAME = 'nestbox.config.json';

/**
 * Reads the configuration file.
 *
 * @param given by `--config`; without it, `nestbox.config.json` in the folder where there is one
 * @throws UsageError, which never shows a value
 */
export async function readConfigFile(given: string | undefined, cwd: string): Promise<ConfigFile> {
  const name = given ?? DEFAULT_NAME;
  let text: string;
  try {
    text = await readFile(resolve(cwd, name), 'utf8');
  } catch (error) {
    const isAbsent = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (isAbsent && given === undefined) return {};
    throw new UsageError(
      isAbsent ? `there is no configuration file ${name}` : `cannot read ${name}: ${messageOf(error)}`,
    );
  }
  const config = parse(text, name);
  check(config, SHAPE, '', name);
  return config as ConfigFile;
}

function parse(text: string, name: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch {
    // The parser's message quotes the text, in which a password may stand.
    throw new UsageError(`${name} is not JSON`);
  }
}

function check(value: unknown, kind: Kind, path: string, name: string): void {
  const what = path === '' ? name : `${name}: "${path}"`;
  if (typeof kind === 'object') {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new UsageError(`${what} must be an object`);
    }
    const known = Object.keys(kind);
    for (const [key, item] of Object.entries(value)) {
      const inner = path === '' ? key : `${path}.${key}`;
      if (!Object.hasOwn(kind, key)) {
        throw new UsageError(
          `${name} has an unknown key "${inner}"${didYouMean(key, known)} (known are: ${known.join(', ')})`,
        );
      }
      check(item, kind[key]!, inner, name);
    }
    return;
  }
  const problem = problemOf(value, kind);
  if (problem !== undefined) throw new UsageError(`${what} must be ${problem}`);
}

function problemOf(value: unknown, kind: Exclude<Kind, object>): string | undefined {
  switch (kind) {
    case 'text':
      return typeof value === 'string' && value !== '' ? undefined : 'a text';
    case 'store':
      return value === 'postgres' || value === 'redis' ? undefined : '"postgres" or "redis"';
    case 'yes or no':
      return typeof value === 'boolean' ? undefined : 'true or false';
    case 'texts':
      return Array.isArray(value) && value.every((item) => typeof item === 'string' && item !== '')
        ? undefined
        : 'an array of texts';
  }
}
