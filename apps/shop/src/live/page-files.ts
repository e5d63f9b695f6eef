import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { Injectable } from '@nestjs/common';

const PUBLIC = new URL('../../public/', import.meta.url);

/** The names that a file of the page may have: nothing above or below it. */
const NAME = /^[a-z][a-z-]*\.(js|css|svg)$/;

/** What `style.css` is put together of, later rules behind earlier ones: many small files, and one request. */
const STYLE = ['base', 'frame', 'tables', 'products', 'controls', 'cart', 'orders', 'health'];

const toGzip = promisify(gzip);
const toBrotli = promisify(brotliCompress);

/** In the order in which they are preferred. */
const ENCODINGS = {
  br: (content: Buffer) =>
    toBrotli(content, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: content.length } }),
  gzip: (content: Buffer) => toGzip(content),
};
type Encoding = keyof typeof ENCODINGS;

/** A file of the page as it is now. */
export interface PageFile {
  /** As `response.type` takes it. */
  type: string;
  content: Buffer;
  hash: string;
}

/** The files of the page. They are read for each request, so that whoever works on them sees them as they are. */
@Injectable()
export class PageFiles {
  /** What was compressed, by encoding and hash: each version of a file is compressed once. */
  private readonly compressed = new Map<string, Promise<Buffer>>();

  async index(): Promise<PageFile> {
    return toFile('html', await readFile(new URL('index.html', PUBLIC)));
  }

  /** Undefined where there is no such file. */
  async find(name: string): Promise<PageFile | undefined> {
    const type = NAME.exec(name)?.[1];
    if (type === undefined) return undefined;
    if (name === 'style.css') return toFile(type, await readStyle());
    try {
      return toFile(type, await readFile(new URL(name, PUBLIC)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  compress({ content, hash }: PageFile, encoding: Encoding): Promise<Buffer> {
    const key = `${encoding} ${hash}`;
    const before = this.compressed.get(key);
    if (before !== undefined) return before;
    const compressed = ENCODINGS[encoding](content);
    this.compressed.set(key, compressed);
    return compressed;
  }
}

/** The best encoding of those that are accepted; undefined where there is none. */
export function encodingFor(accepted: readonly string[]): Encoding | undefined {
  return (Object.keys(ENCODINGS) as Encoding[]).find((encoding) => accepted.includes(encoding));
}

async function readStyle(): Promise<Buffer> {
  const parts = await Promise.all(STYLE.map((part) => readFile(new URL(`style/${part}.css`, PUBLIC))));
  return Buffer.concat(parts);
}

function toFile(type: string, content: Buffer): PageFile {
  return { type, content, hash: createHash('sha256').update(content).digest('base64url').slice(0, 22) };
}
