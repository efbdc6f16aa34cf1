import type { Reporter, TestModule } from 'vitest/node';
import { addCounts, countsLine } from './test-counts.ts';

/** Ends a run with one plain line: the number of tests that passed, failed and were skipped. */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0, pending: 0 };
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        counts[test.result().state] += 1;
      }
      // A file that failed before any of its tests ran counts too.
      counts.failed += module.errors().length;
    }
    const { pending, ...ended } = counts;
    const total = { ...ended, skipped: ended.skipped + pending };
    addCounts(total);
    console.log(countsLine(total));
  }
}
