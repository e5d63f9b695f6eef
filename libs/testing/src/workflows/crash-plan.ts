/** After which steps the worker is to crash. */
export class CrashPlan {
  private readonly left = new Map<string, number>();

  add(stepName: string, times: number): void {
    this.left.set(stepName, (this.left.get(stepName) ?? 0) + times);
  }

  /** Whether the worker is to crash now that this step is written. It counts as done. */
  take(stepName: string): boolean {
    const left = this.left.get(stepName) ?? 0;
    if (left === 0) return false;
    if (left === 1) this.left.delete(stepName);
    else this.left.set(stepName, left - 1);
    return true;
  }
}
