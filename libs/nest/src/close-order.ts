import type { InjectionToken } from '@nestjs/common';
import type { ModuleRef } from '@nestjs/core';

/** Who uses a connection, and how it is closed, once its module was told to. */
interface Use {
  holders: number;
  close: (() => Promise<void>) | undefined;
}

const uses = new WeakMap<object, Use>();

/**
 * Keeps connections open for a module that uses them. Nest tells modules in the reverse order of their imports that the
 * application has shut down, and global ones that another module imports before all others; so a connection may be told
 * before those who still have to say goodbye on it.
 *
 * @param tokens of the connections; those that the application does not have are passed over
 * @returns releases them, and resolves when those are closed that nobody needs any more; may be called twice
 */
export function holdConnections(
  moduleRef: ModuleRef,
  tokens: readonly InjectionToken[],
): () => Promise<void> {
  const held = new Set(tokens.map((token) => find(moduleRef, token)).filter((one) => one !== undefined));
  for (const connection of held) useOf(connection).holders++;
  return async () => {
    const released = [...held];
    held.clear();
    await Promise.all(released.map((connection) => release(connection)));
  };
}

/** Closes a connection now, or when the last of those releases it that {@link holdConnections} keeps it open for. */
export async function closeWhenReleased(connection: object, close: () => Promise<void>): Promise<void> {
  const use = uses.get(connection);
  if (use === undefined || use.holders === 0) await close();
  else use.close = close;
}

async function release(connection: object): Promise<void> {
  const use = useOf(connection);
  use.holders--;
  if (use.holders === 0) await use.close?.();
}

function useOf(connection: object): Use {
  const known = uses.get(connection);
  if (known !== undefined) return known;
  const use: Use = { holders: 0, close: undefined };
  uses.set(connection, use);
  return use;
}

function find(moduleRef: ModuleRef, token: InjectionToken): object | undefined {
  try {
    return moduleRef.get<object | null>(token, { strict: false }) ?? undefined;
  } catch {
    // Nest throws where it knows no such provider.
    return undefined;
  }
}
