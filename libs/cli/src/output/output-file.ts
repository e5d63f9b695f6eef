import { randomBytes } from 'node:crypto';
import { access, open, realpath, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { getSystemErrorMap } from 'node:util';
import { messageOf } from '@nestbox/core';
import { CommandFailedError } from '../command.errors.js';

/**
 * A file that is there as a whole or, when the command fails, as it was before. It keeps the permissions of the one that
 * it replaces, and a link goes on to lead to it. Devices and pipes are written to as they are.
 */
export class OutputFile {
  private constructor(
    private readonly name: string,
    private readonly handle: FileHandle,
    /** Where the text is until it is whole, and where it then belongs; undefined for devices and pipes. */
    private readonly move: { readonly from: string; readonly to: string } | undefined,
  ) {}

  /**
   * @param name of the file, as it was given
   * @throws CommandFailedError
   */
  static create(path: string, name: string): Promise<OutputFile> {
    return said(name, async () => {
      const before = await stat(path).catch(unlessAbsent);
      if (before?.isDirectory() === true) throw new Error('it is a folder');
      if (before !== undefined && !before.isFile()) {
        return new OutputFile(name, await open(path, 'w'), undefined);
      }
      const to = before === undefined ? path : await realpath(path);
      const from = `${to}.${randomBytes(4).toString('hex')}.partial`;
      const handle = await open(from, 'wx', before?.mode);
      const file = new OutputFile(name, handle, { from, to });
      try {
        // The process' mask may have taken something away.
        if (before !== undefined) await handle.chmod(before.mode & 0o777);
      } catch (error) {
        await file.discard();
        throw error;
      }
      return file;
    });
  }

  async write(text: string): Promise<void> {
    await said(this.name, () => this.handle.writeFile(text));
  }

  /** Puts it in its place. */
  async finish(): Promise<void> {
    await said(this.name, async () => {
      if (this.move !== undefined) await this.handle.sync();
      await this.handle.close();
      if (this.move !== undefined) await rename(this.move.from, this.move.to);
    });
  }

  /** Leaves things as they were. */
  async discard(): Promise<void> {
    await this.handle.close();
    if (this.move !== undefined) await rm(this.move.from, { force: true });
  }
}

/** Whether writing there takes something away. */
export async function replacesFile(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() === true;
}

export async function fileExists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}

/** By the name that the user knows, and not by that of the draft. */
async function said<T>(name: string, fn: () => Promise<T>): Promise<T> {
  try {
    return await fn();
  } catch (error) {
    throw new CommandFailedError(`Cannot write ${name}: ${reasonOf(error)}.`, { cause: error });
  }
}

function reasonOf(error: unknown): string {
  const { errno } = error as NodeJS.ErrnoException;
  const [, reason] = (errno === undefined ? undefined : getSystemErrorMap().get(errno)) ?? [];
  return reason ?? messageOf(error);
}

function unlessAbsent(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}
