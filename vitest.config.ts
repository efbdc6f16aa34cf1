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
          exclude: outsideNode,
          testTimeout: 30_000,
          // The JSPI build of ONNX Runtime runs in Node 24 behind this flag.
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
        test: {
          name: 'service',
          include: ['test/service/**/*.test.ts'],
          execArgv: ['--experimental-wasm-jspi'],
          testTimeout: 60_000,
          hookTimeout: 180_000,
          fileParallelism: false,
        },
      },
      {
        extends: true,
        // Needs a Chromium on the machine, so it is no part of `npm test`: `npm run test:browser`.
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
