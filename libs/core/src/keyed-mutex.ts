/** Runs functions with the same key one after the other, in call order; a free key's starts at once. */
export class KeyedMutex {
  private readonly tails = new Map<string, Promise<unknown>>();

  /** Resolves or rejects as `fn` does; a failure does not stop those that wait. */
  run<R>(key: string, fn: () => Promise<R>): Promise<R> {
    // An async function, so that one that throws instead of rejecting breaks nothing, and gets no arguments.
    const start = async (): Promise<R> => fn();
    const before = this.tails.get(key);
    const result = before === undefined ? start() : before.then(start, start);
    this.tails.set(key, result);
    const forget = (): void => {
      if (this.tails.get(key) === result) this.tails.delete(key);
    };
    result.then(forget, forget);
    return result;
  }
}
