/**
 * Counts passed and failed tests over several suites: each suite adds its counts to the file that TEST_COUNTS names.
 *
 *   node test/support/test-counts.ts <file>      prints them as one line
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { z } from 'zod';

const countsSchema = z.object({ passed: z.int(), failed: z.int(), skipped: z.int() });

export type TestCounts = z.infer<typeof countsSchema>;

/** Adds counts to the file. Does nothing without TEST_COUNTS. */
export function addCounts(counts: TestCounts, file = process.env['TEST_COUNTS']): void {
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(counts)}\n`);
}

export function sumCounts(file: string): TestCounts {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const line of readFileSync(file, 'utf8').split('\n').filter(Boolean)) {
    const { passed, failed, skipped } = countsSchema.parse(JSON.parse(line));
    sum.passed += passed;
    sum.failed += failed;
    sum.skipped += skipped;
  }
  return sum;
}

export function countsLine({ passed, failed, skipped }: TestCounts): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/** Reads the counts of a JUnit report written by pytest. */
export function junitCounts(xml: string): TestCounts {
  const suite = /<testsuite\b[^>]*>/.exec(xml)?.[0];
  if (suite === undefined) throw new Error('the report has no <testsuite>');
  const attribute = (name: string) => Number(new RegExp(` ${name}="(\\d+)"`).exec(suite)?.[1] ?? Number.NaN);
  const [failed, skipped] = [attribute('failures') + attribute('errors'), attribute('skipped')];
  return countsSchema.parse({ passed: attribute('tests') - failed - skipped, failed, skipped });
}

if (import.meta.main) console.log(countsLine(sumCounts(process.argv[2] ?? '')));
