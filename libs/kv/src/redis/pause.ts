/** A wait that can be ended early; one at a time. Does not keep the process alive. */
export class Pause {
  private finish: (() => void) | undefined;

  /** Resolves after so many ms, or when it is ended. */
  async wait(ms = Infinity): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.finish = resolve;
      if (ms !== Infinity) timer = setTimeout(resolve, ms).unref();
    });
    clearTimeout(timer);
    this.finish = undefined;
  }

  /** Ends the wait that there is, if any. */
  end(): void {
    this.finish?.();
  }
}
