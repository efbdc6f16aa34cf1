import { cloudflareTest } from '@cloudflare/vitest-plugin';
import { defineConfig } from 'vitest/config';
import { testGovernanceBindings } from './test/support/governance-keys.ts';

const outsideNode = [
  'test/worker/**',
  'test/service/**',
  'test/interop/**',
  'test/conformance/**',
  'test/browser/**',
];

/**
 * Slow tests: whole services that are started, killed, drained, damaged or replayed, models of hundreds of megabytes,
 * commands in processes of their own, thousands of loads. `npm run test:full` runs them, `npm test` does not.
 */
const long = [
  'test/cli/accounts.test.ts',
  'test/cli/commands.test.ts',
  'test/cli/init.test.ts',
  'test/cli/policy.test.ts',
  'test/cli/push.test.ts',
  'test/cli/push-large.test.ts',
  'test/cli/push-process.test.ts',
  'test/cli/receipt.test.ts',
  'test/cli/replay.test.ts',
  'test/cli/signature.test.ts',
  'test/cli/statement.test.ts',
  'test/cli/subjects.test.ts',
  'test/cli/traffic.test.ts',
  'test/engine/ort-node-process.test.ts',
  'test/engine/session-pool.soak.test.ts',
  'test/service/callers-apart.test.ts',
  'test/service/damage.test.ts',
  'test/service/endless-run.test.ts',
  'test/service/erasure.test.ts',
  'test/service/examples.test.ts',
  'test/service/faults.test.ts',
  'test/service/nothing-kept.test.ts',
  'test/service/origin.test.ts',
  'test/service/origin-alive.test.ts',
  'test/service/origin-drain.test.ts',
  'test/service/publish.test.ts',
  'test/service/real-input.test.ts',
  'test/service/receipts-survive.test.ts',
  'test/service/replay.test.ts',
  'test/service/revocation.test.ts',
  'test/service/signals.test.ts',
  'test/service/start.test.ts',
  'test/service/tiers.test.ts',
  'test/service/uploads.test.ts',
];

/** Runs one file at a time, because the processes of several workers would compete for the cores. */
const wholeService = {
  execArgv: ['--experimental-wasm-jspi'],
  testTimeout: 60_000,
  hookTimeout: 180_000,
  fileParallelism: false,
};

export default defineConfig({
  test: {
    reporters: ['default', './test/support/summary-reporter.ts'],
    globalSetup: './test/support/global-setup.ts',
    projects: [
      {
        extends: true,
        test: {
          name: 'node',
          include: ['test/**/*.test.ts'],
          exclude: [...outsideNode, ...long],
          testTimeout: 30_000,
          // Node 24 needs this flag for the JSPI build of ONNX Runtime.
          execArgv: ['--experimental-wasm-jspi'],
        },
      },
      {
        extends: true,
        plugins: [
          cloudflareTest({
            wrangler: { configPath: './wrangler.toml' },
            miniflare: { bindings: testGovernanceBindings },
          }),
        ],
        test: { name: 'worker', include: ['test/worker/**/*.test.ts'], testTimeout: 60_000 },
      },
      {
        extends: true,
        test: { ...wholeService, name: 'service', include: ['test/service/**/*.test.ts'], exclude: long },
      },
      { extends: true, test: { ...wholeService, name: 'full', include: long } },
      {
        extends: true,
        // Needs Chromium, so it is not part of `npm test`: `npm run test:browser`.
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
