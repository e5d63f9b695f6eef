import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Whether every user may enter all folders above this one and, unless only these count, the folder itself. */
export async function isOpenToOthers(folder: string, which: 'all' | 'ancestors' = 'all'): Promise<boolean> {
  let path = which === 'all' ? folder : dirname(folder);
  for (; ; path = dirname(path)) {
    const { mode } = await stat(path);
    if ((mode & 0o001) === 0) return false;
    if (path === dirname(path)) return true;
  }
}
