/** Starts functions with the same key in the order of the calls, whatever each has to wait for before. */
export class StartOrder {
  private readonly tails = new Map<string, Promise<void>>();

  /**
   * Calls `fn` at once if neither it nor an earlier one has anything to wait for.
   *
   * @param before when it rejects, so does the result, and the others go on
   */
  run<R>(key: string, before: Promise<unknown> | undefined, fn: () => Promise<R>): Promise<R> {
    const tail = this.tails.get(key);
    if (tail === undefined && before === undefined) return fn();
    // In an object, so that the start is not held up until the result is there.
    const started = Promise.allSettled([tail, before]).then(async ([, outcome]) => {
      if (outcome.status === 'rejected') throw outcome.reason;
      return { result: fn() };
    });
    const turn = started.then(noop, noop);
    this.tails.set(key, turn);
    void turn.then(() => {
      if (this.tails.get(key) === turn) this.tails.delete(key);
    });
    return started.then(({ result }) => result);
  }
}

function noop(): void {
  // The caller hears of it.
}
