/** Runs functions with the same key one after the other, in call order. */
export class KeyedMutex {
  private readonly tails = new Map<string, Promise<unknown>>();

  /** Resolves or rejects as `fn` does; a failure does not stop those that wait. */
  run<R>(key: string, fn: () => Promise<R>): Promise<R> {
    const before = this.tails.get(key);
    const result = before === undefined ? fn() : before.then(fn, fn);
    this.tails.set(key, result);
    const forget = (): void => {
      if (this.tails.get(key) === result) this.tails.delete(key);
    };
    result.then(forget, forget);
    return result;
  }
}
