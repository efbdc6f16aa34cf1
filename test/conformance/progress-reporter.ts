import type { Reporter, TestCase } from 'vitest/node';

const every = 100;

/** Writes a line every hundred cases, since the run takes minutes. */
export default class ProgressReporter implements Reporter {
  readonly #counts = { passed: 0, failed: 0, skipped: 0, pending: 0 };
  #done = 0;

  onTestCaseResult(test: TestCase): void {
    this.#counts[test.result().state] += 1;
    this.#done += 1;
    if (this.#done % every === 0) {
      const { passed, failed, skipped } = this.#counts;
      console.log(`${this.#done} run: ${passed} passed, ${failed} failed, ${skipped} failed as listed`);
    }
  }
}
