/** What the command exits with. */
export const ExitCode = {
  done: 0,
  failed: 1,
  wrongUsage: 2,
  /** `migrate status`: something is pending. `doctor`: there is a problem. */
  attention: 3,
  notFound: 4,
} as const;

export const EXIT_CODES =
  'Exit codes: 0 done, 1 failed, 2 wrong usage, 3 something is pending (migrate status) or a problem was\nfound (doctor), 4 what was asked for does not exist';
