/** What a check has found. */
export interface Finding {
  /** Which check, such as `postgres.version`. */
  readonly check: string;
  /** `warning`: it works, but not as well or as safely as it could. `problem`: something does not, or will be lost. */
  readonly status: 'ok' | 'warning' | 'problem';
  readonly message: string;
  /** What to do; absent where all is well. */
  readonly advice?: string;
}

export function ok(check: string, message: string): Finding {
  return { check, status: 'ok', message };
}

export function warning(check: string, message: string, advice: string): Finding {
  return { check, status: 'warning', message, advice };
}

export function problem(check: string, message: string, advice: string): Finding {
  return { check, status: 'problem', message, advice };
}
