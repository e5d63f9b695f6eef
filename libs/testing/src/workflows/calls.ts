interface Waiter<T> {
  readonly after: number;
  readonly tell: (result: T | undefined) => void;
}

/** The calls of a method, for those who wait for one that began after they did. */
export class Calls<T> {
  private begun = 0;
  private waiters: Waiter<T>[] = [];

  /** The result of a call that begins from now on; undefined when it fails. */
  next(): Promise<T | undefined> {
    return new Promise((tell) => this.waiters.push({ after: this.begun, tell }));
  }

  async watch(call: () => Promise<T>): Promise<T> {
    const number = ++this.begun;
    let result: T | undefined;
    try {
      result = await call();
      return result;
    } finally {
      const waiters = this.waiters.filter(({ after }) => after < number);
      this.waiters = this.waiters.filter(({ after }) => after >= number);
      for (const waiter of waiters) waiter.tell(result);
    }
  }
}
