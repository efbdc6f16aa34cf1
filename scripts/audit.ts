/**
 * Reports known vulnerabilities of the locked packages (`npm audit`) and exits with 1 if there are any. A registry that
 * does not answer such questions is reported and is not a failure, so that the check also runs behind a mirror.
 *
 *   npm run audit
 */
import { spawnSync } from 'node:child_process';
import { z } from 'zod';
import { root } from './process-group.ts';

const reportSchema = z.object({
  vulnerabilities: z.record(
    z.string(),
    z.object({
      severity: z.string(),
      range: z.string(),
      via: z.array(z.union([z.string(), z.looseObject({ title: z.string(), url: z.string() })])),
    }),
  ),
});

/** What `npm audit --json` found: one line per finding, or undefined if the registry gave no report. */
export function readAuditReport(json: string): readonly string[] | undefined {
  const report = reportSchema.safeParse(parseOrUndefined(json));
  if (!report.success) return undefined;
  return Object.entries(report.data.vulnerabilities).map(([name, { severity, range, via }]) => {
    const reasons = via.map((each) =>
      typeof each === 'string' ? `through ${each}` : `${each.title}, ${each.url}`,
    );
    return `${name} ${range} (${severity}): ${reasons.join('; ')}`;
  });
}

function parseOrUndefined(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

if (import.meta.main) {
  const { stdout } = spawnSync('npm', ['audit', '--json'], { cwd: root, encoding: 'utf8' });
  const findings = readAuditReport(stdout);
  if (findings === undefined) {
    console.error(
      'npm audit: not checked, because the registry gave no report. Run it where the registry answers.',
    );
  } else if (findings.length > 0) {
    console.error(`npm audit: ${findings.length} vulnerable packages\n${findings.join('\n')}`);
    process.exitCode = 1;
  } else {
    console.log('npm audit: no known vulnerability');
  }
}
