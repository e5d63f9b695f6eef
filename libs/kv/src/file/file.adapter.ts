import { InvalidArgumentError, messageOf } from '@nestbox/core';
import { mkdir, readFile, realpath, unlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { LocalAdapter } from '../memory/local.adapter.js';
import type { LocalAdapterOptions } from '../memory/local-host.js';
import { LocalState, type Snapshot } from '../memory/local-state.js';
import { absent, replaceFile } from './durable-file.js';
import { decodeSnapshot, encodeSnapshot } from './file-format.js';
import { FileLock } from './file-lock.js';
import { FileSaver } from './file-saver.js';

export interface FileAdapterOptions extends LocalAdapterOptions {
  /** The file; it and its folder are created when they are not there. */
  filePath: string;
}

/**
 * Keeps entries in memory and in a JSON file, for one process at a time. When a write resolves, it is on the disk; a
 * crash at any moment loses nothing of it. Writes made together are saved together, but each saving writes the whole
 * file, so it is for stores of up to some tens of MB. Leases and watches reach no further than the process.
 */
export class FileAdapter extends LocalAdapter {
  readonly backend = 'file';
  private readonly filePath: string;
  private lock: FileLock | undefined;
  private saver: FileSaver | undefined;

  constructor({ filePath, ...options }: FileAdapterOptions) {
    super('The file adapter', options);
    if (typeof filePath !== 'string' || filePath === '' || filePath.includes('\0')) {
      throw new InvalidArgumentError('filePath', 'must be the path of a file.');
    }
    this.filePath = resolve(filePath);
  }

  protected override async load(): Promise<Snapshot> {
    const path = await realPath(this.filePath);
    const lock = await FileLock.acquire(`${path}.lock`, path);
    try {
      // Of a process that was killed while it wrote.
      await unlink(temporary(path)).catch(absent);
      const bytes = await readFile(path).catch(absent);
      const snapshot = bytes === undefined ? LocalState.empty() : decode(path, bytes);
      this.lock = lock;
      return snapshot;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  protected override loaded(state: LocalState): void {
    state.enableUndo();
    this.saver = new FileSaver(state, () => this.write(state));
  }

  protected override save(state: LocalState): Promise<void> | undefined {
    return state.pending === 0 ? undefined : this.saver!.save();
  }

  protected override saveLater(state: LocalState): void {
    // What was swept is found again by the next sweep, or the next start.
    this.save(state)?.catch(() => undefined);
  }

  protected override async probe(): Promise<void> {
    await this.lock!.assertHeld();
  }

  protected override async unload(): Promise<void> {
    await this.saver?.idle();
    await this.lock?.release();
  }

  private async write(state: LocalState): Promise<void> {
    // Before anything is awaited, so that it holds exactly the changes that are counted as saved.
    const content = encodeSnapshot(state.snapshot());
    await this.lock!.assertHeld();
    const path = await realPath(this.filePath);
    await replaceFile(path, temporary(path), content);
  }
}

function temporary(path: string): string {
  return `${path}.tmp`;
}

/** The path without symbolic links, so that a link stays one, and that two ways to a file are one. */
async function realPath(path: string): Promise<string> {
  const known = await realpath(path).catch(absent);
  if (known !== undefined) return known;
  await mkdir(dirname(path), { recursive: true });
  return join(await realpath(dirname(path)), basename(path));
}

function decode(path: string, bytes: Uint8Array): Snapshot {
  try {
    return decodeSnapshot(bytes);
  } catch (error) {
    throw new Error(
      `${path} cannot be used, because ${messageOf(error)} ` +
        'It was left as it is: restore it from a copy, or move it away to start with an empty store.',
      { cause: error },
    );
  }
}
