/** Commands that pages show and that are not run by the test of the pages, and why. */
export const NOT_RUN: readonly { command: RegExp; why: string }[] = [
  { command: /^docker\b/, why: 'there is no Docker where the tests run' },
  { command: /^npm (?:ci|publish|version|pack)\b/, why: 'it changes this repository or a registry' },
  {
    command: /^npm (?:start|test|run (?:dev|bench))\b/,
    why: 'tests of their own start the shop and the suite',
  },
  {
    command: /^(?:pg_dump|pg_restore|pg_basebackup|pg_ctl|createdb)\b/,
    why: 'not installed with the embedded server',
  },
  { command: /^(?:redis-cli|redis-server|valkey-server)\b/, why: 'not installed everywhere' },
  { command: /^(?:sudo|systemctl|apt-get|kubectl)\b/, why: 'it changes the machine' },
];
