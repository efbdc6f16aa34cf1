import type { EdgeProfile } from '../repository/schema.ts';

/**
 * Milliseconds that a run over `inputElements` elements is expected to take: the measured run of the nearest smaller
 * size, scaled by the size. An estimate: it was measured on the publisher's machine, and cost need not grow evenly.
 */
export function predictRunMs(profile: EdgeProfile, inputElements: number): number {
  let nearest = profile.runs[0];
  for (const run of profile.runs) {
    if (run.inputElements <= inputElements) {
      nearest = run;
    }
  }
  if (nearest === undefined) {
    return 0;
  }
  const scale = Math.max(1, inputElements / Math.max(1, nearest.inputElements));
  return (nearest.microseconds * scale) / 1000;
}
