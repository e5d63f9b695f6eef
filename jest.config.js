/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/libs', '<rootDir>/apps', '<rootDir>/test'],
  testMatch: ['**/test/**/*.test.ts', '<rootDir>/test/**/*.test.ts'],
  modulePathIgnorePatterns: ['/dist/'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: {
    '^@nestbox/testing/(contracts|event-store|workflows)$': '<rootDir>/libs/testing/src/$1/index.ts',
    '^@nestbox/(core|nest|postgres|redis|kv|channels|event-hub|event-store|workflows|testing|typeorm|cli)$':
      '<rootDir>/libs/$1/src/index.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  transform: { '^.+\\.ts$': '@swc/jest' },
  globalSetup: '<rootDir>/test/setup/global-setup.mjs',
  globalTeardown: '<rootDir>/test/setup/global-teardown.mjs',
  reporters: ['default', '<rootDir>/test/setup/closing-line-reporter.mjs'],
  testTimeout: 30_000,
  maxWorkers: 2,
  // The modules of a test file stay in memory when it is done; a worker that has run many is replaced.
  workerIdleMemoryLimit: '512MB',
};
