import { readFileSync } from 'node:fs';
import { TestServerError } from '../errors.js';

export interface SystemUser {
  name: string;
  uid: number;
  gid: number;
}

/**
 * Whom to run PostgreSQL as, since it refuses to run as root: the system's `postgres`, else `nobody`. Undefined when
 * this process is not root, and needs nobody else.
 */
export function unprivilegedUser(): SystemUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .map(([name = '', , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }));
  for (const wanted of ['postgres', 'nobody']) {
    const user = users.find(({ name }) => name === wanted);
    if (user !== undefined) return user;
  }
  throw new TestServerError(
    'PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody. Create one, or run the tests as another user.',
  );
}
