import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { addCounts, junitCounts } from '../support/test-counts.ts';

const folder = mkdtempSync(join(tmpdir(), 'edgewise-counts-'));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('counts of tests', () => {
  it('are added up over all suites', () => {
    const file = join(folder, 'counts');
    addCounts({ passed: 3, failed: 0, skipped: 1 }, file);
    addCounts({ passed: 40, failed: 2, skipped: 0 }, file);
    const line = execFileSync(process.execPath, ['test/support/test-counts.ts', file], { encoding: 'utf8' });
    expect(line).toBe('43 passed, 2 failed, 1 skipped\n');
  });

  it('are read from a pytest report', () => {
    const report = (suite: string) =>
      `<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" ${suite} time="0.034" timestamp="2026-11-30T10:00:00" hostname="h"><testcase classname="t" name="a" time="0.001" /></testsuite></testsuites>`;
    expect(junitCounts(report('errors="1" failures="2" skipped="3" tests="10"'))).toEqual({
      ...{ passed: 4, failed: 3 },
      skipped: 3,
    });
    expect(() => junitCounts(report('tests="10"'))).toThrow();
    expect(() => junitCounts('')).toThrow('no <testsuite>');
  });
});
