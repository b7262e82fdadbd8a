/**
 * Three projects: `unit` runs anywhere and in parallel; `netns` makes network namespaces, so it runs serially inside a
 * namespace of its own (tools/netns.ts) and leaves nothing behind; `e2e` starts the whole mesh as a user would.
 */
const shared = {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '\\.ts$': '<rootDir>/tools/jest-strip-types.cjs' },
  injectGlobals: false,
  // Jest's own choice is a folder for each user id, and root of a user namespace has that of root.
  cacheDirectory: '<rootDir>/node_modules/.cache/jest',
};

const ignored = ['/node_modules/', '/dist/'];

export default {
  reporters: ['default', '<rootDir>/tools/count-reporter.mjs'],
  // For a machine that stalls: nothing is measured by it, and a wait of a test ends before, saying for what.
  testTimeout: 240_000,
  projects: [
    {
      ...shared,
      displayName: 'unit',
      testMatch: ['<rootDir>/{packages,tools,e2e}/**/*.test.ts'],
      testPathIgnorePatterns: [...ignored, '\\.(netns|e2e)\\.test\\.ts$'],
    },
    {
      ...shared,
      displayName: 'netns',
      testMatch: ['<rootDir>/{packages,e2e}/**/*.netns.test.ts'],
      testPathIgnorePatterns: ignored,
    },
    {
      ...shared,
      displayName: 'e2e',
      testMatch: ['<rootDir>/e2e/**/*.e2e.test.ts'],
      testPathIgnorePatterns: [
        ...ignored,
        ...(process.env.AMBIT_E2E_WITHOUT_CLUSTER ? ['/e2e/(suite|cluster)/'] : []),
        // Needs a cluster of both families: npm run e2e -- --ip-family dual.
        ...(process.env.AMBIT_E2E_DUAL_STACK ? [] : ['/e2e/suite/dual-stack']),
      ],
    },
  ],
};
