import { runInRootScope } from '@nestbox/core';

/** Lets a loop sleep until there may be something to do. What happens while it is awake is not missed. */
export class Wake {
  private woken = false;
  private resolve: (() => void) | undefined;
  private timer: NodeJS.Timeout | undefined;

  wake(): void {
    this.woken = true;
    this.resolve?.();
  }

  /** Resolves when woken since the last wait, or after so many ms. */
  async wait(ms = Infinity): Promise<void> {
    if (!this.woken) {
      await new Promise<void>((resolve) => {
        this.resolve = resolve;
        if (ms !== Infinity) this.timer = runInRootScope(() => setTimeout(resolve, ms)).unref();
      });
      clearTimeout(this.timer);
      this.resolve = undefined;
    }
    this.woken = false;
  }
}
