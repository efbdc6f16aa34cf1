import { defineConfig } from 'vitest/config';

/** `npm run test:conformance`: minutes long, and it wants Debian's libonnx-testdata, so `npm test` leaves it out. */
export default defineConfig({
  test: {
    globalSetup: './test/support/global-setup.ts',
    include: ['test/conformance/**/*.test.ts'],
    reporters: ['default', './test/conformance/progress-reporter.ts', './test/support/summary-reporter.ts'],
    // The JSPI build of ONNX Runtime runs in Node 24 behind this flag.
    execArgv: ['--experimental-wasm-jspi'],
    // One worker answers all: more at once only wait.
    maxConcurrency: 4,
    testTimeout: 120_000,
    slowTestThreshold: 10_000,
    hookTimeout: 180_000,
  },
});
