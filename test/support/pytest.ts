/** Runs test suites in Python. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../scripts/python-environment.ts';
import { addCounts, junitCounts } from './test-counts.ts';

/** Runs the tests of `folder` with additional pytest arguments. Returns pytest's exit code. */
export async function runPytest(
  python: string,
  folder: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<number> {
  const scratch = mkdtempSync(join(tmpdir(), 'edgewise-pytest-'));
  const report = join(scratch, 'report.xml');
  try {
    const pytest = ['-B', '-m', 'pytest', '-p', 'no:cacheprovider', '--tb=short', '-q'];
    const code = await runProgram(python, [...pytest, `--junitxml=${report}`, folder, ...args], environment);
    addCounts(junitCounts(readFileSync(report, 'utf8')));
    return code;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
