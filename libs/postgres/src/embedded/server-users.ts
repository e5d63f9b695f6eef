import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { identify, isAlive, stillRuns } from './process-identity.js';

/**
 * The processes that use an embedded server, as files named after their ids: whoever leaves last stops it. Those that
 * died without leaving do not count.
 */
export class ServerUsers {
  private readonly own: string;

  /** @param id tells several users in one process apart */
  constructor(
    private readonly folder: string,
    id: string,
  ) {
    this.own = join(folder, `${process.pid}-${id}`);
  }

  async enter(): Promise<void> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    await writeFile(this.own, (await identify(process.pid)) ?? String(process.pid), { mode: 0o644 });
  }

  /** @returns whether nobody is left */
  async leave(): Promise<boolean> {
    await rm(this.own, { force: true });
    let left = 0;
    for (const name of await readdir(this.folder).catch(() => [])) {
      const file = join(this.folder, name);
      const identity = await readFile(file, 'utf8').catch(() => '');
      if (identity === '') continue;
      if (await stillRuns(identity)) left++;
      else await rm(file, { force: true });
    }
    return left === 0;
  }

  /** {@link leave} for the moment in which the process exits. */
  leaveSync(): boolean {
    try {
      rmSync(this.own, { force: true });
      return readdirSync(this.folder).every(
        (name) => !isAlive(Number.parseInt(readFileSync(join(this.folder, name), 'utf8'), 10)),
      );
    } catch {
      // The folder is gone, and all users with it.
      return true;
    }
  }
}
