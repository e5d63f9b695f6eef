import { InvalidArgumentError, MAX_NAME_BYTES, assertName } from '@nestbox/core';
import { assertKey } from '../adapter-support.js';
import { LeaseHeldError, LeaseLostError, NotACounterError, VersionConflictError } from '../kv.errors.js';

/**
 * A part of a backend: the keys with a prefix, which those who work inside never see. The prefix of a namespace is
 * its name and a colon; a colon in a name is escaped, so that no two paths of names share a prefix.
 */
export class Namespace {
  static readonly root = new Namespace('');

  private constructor(readonly prefix: string) {}

  /** @throws InvalidArgumentError when the name is empty, malformed or too long */
  inner(name: string): Namespace {
    assertName(name, 'namespace');
    const escaped = name.replaceAll('%', '%25').replaceAll(':', '%3A');
    const prefix = `${this.prefix}${escaped}:`;
    const bytes = Buffer.byteLength(prefix);
    if (bytes >= MAX_NAME_BYTES) {
      throw new InvalidArgumentError('namespace', `takes ${bytes} of the ${MAX_NAME_BYTES} bytes of a key.`);
    }
    return new Namespace(prefix);
  }

  /**
   * The backend's key.
   *
   * @throws InvalidArgumentError when the key is empty, malformed, or too long together with the prefix
   */
  outer(key: string, path = 'key'): string {
    assertKey(key, path);
    if (this.prefix === '') return key;
    const outer = this.prefix + key;
    if (outer.length * 3 > MAX_NAME_BYTES) {
      const bytes = Buffer.byteLength(outer);
      if (bytes > MAX_NAME_BYTES) {
        throw new InvalidArgumentError(
          path,
          `is ${bytes} bytes long with its namespace "${this.prefix}"; at most ${MAX_NAME_BYTES} are allowed for both.`,
        );
      }
    }
    return outer;
  }

  /** The key as it is known inside. */
  local(outer: string): string {
    return this.prefix === '' ? outer : outer.slice(this.prefix.length);
  }

  /** Runs a call of the backend, with the keys in its errors as they are known inside. */
  async run<R>(fn: () => Promise<R>): Promise<R> {
    try {
      return await fn();
    } catch (error) {
      throw this.localError(error);
    }
  }

  private localError(error: unknown): unknown {
    if (this.prefix === '') return error;
    if (error instanceof VersionConflictError) {
      return new VersionConflictError(this.local(error.key), error.expected, error.current);
    }
    if (error instanceof NotACounterError) return new NotACounterError(this.local(error.key), error.problem);
    if (error instanceof LeaseHeldError) return new LeaseHeldError(this.local(error.key));
    if (error instanceof LeaseLostError) return new LeaseLostError(this.local(error.key));
    return error;
  }
}
