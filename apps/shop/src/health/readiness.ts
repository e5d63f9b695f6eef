/** Where the process is in its life. */
export type Phase = 'starting' | 'ready' | 'stopping';

/** Told by main.ts, asked by the gate and by `GET /health/ready`. */
export class Readiness {
  private current: Phase = 'starting';

  get phase(): Phase {
    return this.current;
  }

  started(): void {
    if (this.current === 'starting') this.current = 'ready';
  }

  stopping(): void {
    this.current = 'stopping';
  }
}
